package rules

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// AllEvents stands for every type in a webhook's list of events.
const AllEvents = "*"

// EventTypes gives the types of events that exist, as in docs/events.md.
func EventTypes() []string {
	return []string{
		"visitor.created", "visitor.updated", "visitor.left", "visitor.removed", "visitor.page",
		"invitation.sent", "invitation.answered",
		"chat.created", "chat.queued", "chat.assigned", "chat.accepted", "chat.transferred", "chat.updated", "chat.ended", "chat.removed",
		"message.created",
		"agent.created", "agent.updated", "agent.status_changed", "agent.removed", "agent.message",
		"department.created", "department.removed",
		"site.created", "site.updated", "config.changed",
	}
}

// SecretPrefix is what a Standard Webhooks secret begins with; base64 of 24
// to 64 random bytes follows.
const SecretPrefix = "whsec_"

// readWebhook judges a webhook endpoint.
func readWebhook(o *object) {
	readHead(o)
	readEndpointURL(o)
	readSecret(o, "secret", true)
	readSecret(o, "previous_secret", false)
	o.boolean("enabled", true)
	o.boolean("allow_private", false)
	readEvents(o)
	o.close()
}

func readEndpointURL(o *object) {
	s := o.text("url", 1, 2048)
	if s == "" {
		return
	}
	at := join(o.path, "url")
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		o.add(at, "%q is not an http or https address", clip(s))
	case u.User != nil:
		o.add(at, "must not contain a user or password: deliveries are signed instead")
	case u.Fragment != "":
		o.add(at, "must not contain a fragment (#…)")
	}
}

func readSecret(o *object, key string, required bool) {
	least := 0
	if required {
		least = 1
	}
	s := o.text(key, least, 200)
	if s == "" {
		return
	}
	encoded, ok := strings.CutPrefix(s, SecretPrefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
		// The value is not repeated: errors are logged.
		o.add(join(o.path, key), "must be %q and the base64 of 24 to 64 random bytes", SecretPrefix)
	}
}

func readEvents(o *object) {
	elems, at, ok := o.list("events", 100)
	if !ok || len(elems) == 0 {
		o.add(at, "needs at least one type of event; %q stands for all", AllEvents)
		return
	}
	for i, elem := range elems {
		s, _ := elem.(string)
		if s != AllEvents && !slices.Contains(EventTypes(), s) {
			o.add(index(at, i), "%s is not a type of event%s", describe(elem), suggest(s, EventTypes()))
		}
	}
}

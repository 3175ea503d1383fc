package webtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Target is a running Parlor. Its site has somebody to answer and a campaign
// with a pre-chat form.
type Target struct {
	Shop     string // URL of a page that has the widget
	Next     string // URL of another page of the same origin that has it
	Console  string // URL of the console
	Login    string // an agent who gets the chats of the site
	Password string

	// Typing says that what somebody is typing reaches the other side: it is
	// not stored, so it needs a way between the nodes that both are on.
	Typing bool
	// Restart, if any, stops the node that serves Shop without a word, in the
	// middle of the chat. It need not come back before Restart returns.
	Restart func(t *testing.T)
	// Pictures, if not empty, is a folder for what the tabs looked like.
	Pictures string
}

// FirstChat is the story of a first chat: a visitor opens the window on a shop's
// page and fills the form in, an agent answers on the console, they talk, the
// visitor walks on to another page, a node dies, they go on, the visitor ends
// the chat. At no time may the browser complain.
func FirstChat(t *testing.T, target Target) {
	browser := Open(t)
	agent := browser.Tab("the agent")
	SignIn(agent, target.Console, target.Login, target.Password)

	visitor := browser.Tab("the visitor")
	visitor.Go(target.Shop)
	visitor.Until("the button", visitor.Page, `!!document.querySelector("#parlor")`)
	visitor.Picture(target.Pictures, "shop")
	visitor.Tap("#parlor")
	visitor.Until("the form", visitor.Window, `!!document.querySelector("form") && !document.querySelector(".composer")`)
	visitor.Picture(target.Pictures, "prechat")
	fillIn(visitor)
	visitor.Until("the chat", visitor.Window, `!!document.querySelector(".composer")`)

	talk := &talk{t: t, visitor: visitor, agent: agent}
	agent.Click(agent.Page, ".side .chat.new", "Ada")
	agent.Until("the form's answers", agent.Page, `document.querySelector(".details").innerText.includes("Ada")`)
	agent.Click(agent.Page, ".offer button", "Accept")
	agent.Until("the chat to be accepted", agent.Page, `!document.querySelector(".offer")`)
	talk.says(agent, "Hello Ada, how can I help?")
	talk.begins("Do you have a bigger", target.Typing)
	talk.says(visitor, " grinder? See https://example.com/grinders.")
	visitor.Picture(target.Pictures, "chat")
	agent.Picture(target.Pictures, "console")
	talk.link()

	visitor.Go(target.Next)
	visitor.Until("the window to be open again", visitor.Window, `!!document.querySelector(".composer")`)
	talk.agree()
	talk.says(agent, "We do, <b>next week</b>.")
	agent.Until("the page that the visitor is on now", agent.Page, fmt.Sprintf(`[...document.querySelectorAll(".pages a")].some((a) => a.href === %s)`, quote(target.Next)))

	if target.Restart != nil {
		visitor.Lenient()
		agent.Lenient()
		target.Restart(t)
		for i := range 5 {
			talk.says(visitor, fmt.Sprintf("Are you still there? %d", i))
			talk.says(agent, fmt.Sprintf("I am. %d", i))
		}
	}

	visitor.Click(visitor.Window, "header button", "End chat")
	visitor.Until("the question whether to end", visitor.Window, `!!document.querySelector("dialog[open]")`)
	visitor.Click(visitor.Window, "dialog button", "End chat")
	visitor.Until("the end", visitor.Window, `!!document.querySelector(".ended")`)
	agent.Until("the end", agent.Page, `!!document.querySelector(".over")`)
	talk.agree()
	visitor.Picture(target.Pictures, "ended")

	visitor.Click(visitor.Window, "header button", "Close")
	visitor.Clean()
	agent.Clean()
}

// SignIn lets an agent sign in on the console and waits until he is online.
func SignIn(agent *Tab, console, login, password string) {
	agent.t.Helper()
	agent.Go(console)
	agent.Type(agent.Page, "[name=login]", login)
	agent.Type(agent.Page, "[name=password]", password)
	agent.Enter()
	agent.Until("to be online", agent.Page, `document.querySelector(".status select")?.value === "online" && !document.querySelector(".bar")`)
}

// fillIn answers every field of the form, whichever they are.
func fillIn(visitor *Tab) {
	visitor.t.Helper()
	raw, err := visitor.Window(`[...document.querySelectorAll("form [name]")].map((e) => ({name: e.name, type: e.type}))`)
	var fields []struct{ Name, Type string }
	if err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err != nil {
		visitor.t.Fatalf("reading the form: %v", err)
	}
	for _, f := range fields {
		answer := "Ada"
		switch f.Type {
		case "email":
			answer = "ada@example.com"
		case "tel":
			answer = "+49 30 1234567"
		case "textarea":
			answer = "A question about grinders"
		case "select-one":
			continue
		}
		visitor.Type(visitor.Window, fmt.Sprintf("form [name=%q]", f.Name), answer)
	}
	visitor.Click(visitor.Window, "form button", "Start chat")
}

// talk is a conversation that both sides have to see in the same way.
type talk struct {
	t              *testing.T
	visitor, agent *Tab
	lines          []string
	written        string // what stands in the visitor's input already
}

// says lets somebody send a message and waits until both have it, once, and in
// its place.
func (k *talk) says(who *Tab, text string) {
	k.t.Helper()
	in := who.Page
	if who == k.visitor {
		in = who.Window
	}
	who.Type(in, ".composer textarea", text)
	who.Enter()
	if who == k.visitor {
		text, k.written = k.written+text, ""
	}
	k.lines = append(k.lines, strings.TrimSpace(text))
	k.agree()
}

// begins lets the visitor write without sending: the agent sees it coming.
func (k *talk) begins(text string, seen bool) {
	k.t.Helper()
	k.visitor.Type(k.visitor.Window, ".composer textarea", text)
	k.written += text
	if !seen {
		return
	}
	k.agent.Until("what the visitor is writing", k.agent.Page, fmt.Sprintf(`(document.querySelector(".preview")?.innerText || "").includes(%s)`, quote(text)))
}

// agree waits until both sides show the conversation as it was.
func (k *talk) agree() {
	k.t.Helper()
	want, err := json.Marshal(k.lines)
	if err != nil {
		k.t.Fatal(err)
	}
	same := fmt.Sprintf(`JSON.stringify([...document.querySelectorAll(".line .bubble")].map((e) => e.textContent)) === JSON.stringify(%s)`, want)
	k.visitor.Until("the same conversation", k.visitor.Window, same)
	k.agent.Until("the same conversation", k.agent.Page, same)
	settled := `!document.querySelector(".line.sending, .line.waiting, .line.failed")`
	k.visitor.Until("everything to be sent", k.visitor.Window, settled)
	k.agent.Until("everything to be sent", k.agent.Page, settled)
}

// link holds that an address is a link, without the full stop after it.
func (k *talk) link() {
	k.t.Helper()
	k.agent.Until("the link", k.agent.Page, `document.querySelector(".bubble a")?.href === "https://example.com/grinders"`)
}

// ScriptHash is how a content security policy allows an inline script.
func ScriptHash(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

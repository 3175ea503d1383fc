package core

import (
	"slices"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// The keys of docs/keyspace.md, spelt in this file only.

const (
	keySites       = "system:sites"        // set
	keyGroup       = "system:group"        // hash
	keyAgentsSeen  = "system:agents:seen"  // zset
	keyVisitorsDue = "system:visitors:due" // zset
	keySessionsEnd = "system:sessions:end" // stream
	keyTokenKey    = "secret:token_key"    // string
	keySetup       = "secret:setup"        // string
	prefixSecret   = "secret:"             // hidden from clients
	prefixSession  = "secret:session:"     // hash
	prefixPassword = "secret:agent:"       // hash
	prefixVisitor  = "visitor:"            // hash
	prefixChat     = "chat:"               // hash
	prefixAgent    = "agent:"              // hash
	prefixDept     = "department:"         // hash
	prefixSite     = "site:"               // hash
)

func keySite(site string) string                   { return prefixSite + site }
func keySiteDepartments(site string) string        { return prefixSite + site + ":departments" }
func keySiteAgents(site string) string             { return prefixSite + site + ":agents" }
func keySiteVisitors(site string) string           { return prefixSite + site + ":visitors" }
func keySiteVisitorsIn(site, status string) string { return prefixSite + site + ":visitors:" + status }
func keySiteChats(site, status string) string      { return prefixSite + site + ":chats:" + status }
func keyEvents(site string) string                 { return prefixSite + site + ":events" }
func keyConsumers(site string) string              { return prefixSite + site + ":consumers" }

func keyVisitor(id string) string      { return prefixVisitor + id }
func keyVisitorVars(id string) string  { return prefixVisitor + id + ":vars" }
func keyVisitorPages(id string) string { return prefixVisitor + id + ":pages" }
func keyVisitorChats(id string) string { return prefixVisitor + id + ":chats" }

func keyChat(id string) string         { return prefixChat + id }
func keyChatMessages(id string) string { return prefixChat + id + ":messages" }
func keyChatClients(id string) string  { return prefixChat + id + ":clients" }

func keyAgent(id string) string            { return prefixAgent + id }
func keyAgentChats(id string) string       { return prefixAgent + id + ":chats" }
func keyAgentDepartments(id string) string { return prefixAgent + id + ":departments" }
func keyAgentMessages(id string) string    { return prefixAgent + id + ":messages" }
func keyAgentClients(id string) string     { return prefixAgent + id + ":clients" }

func keyDepartment(id string) string       { return prefixDept + id }
func keyDepartmentAgents(id string) string { return prefixDept + id + ":agents" }
func keyQueue(id string) string            { return prefixDept + id + ":queue" }

func keySession(sha256 string) string { return prefixSession + sha256 }
func keyPassword(agent string) string { return prefixPassword + agent }

// keyConfig holds the config objects of a kind. Webhooks hold the secrets that
// deliveries are signed with, so no client reads them.
func keyConfig(site, kind string) string {
	if kind == kindWebhooks {
		return prefixSecret + prefixSite + site + ":config:" + kind
	}
	return prefixSite + site + ":config:" + kind
}

// EventsKey is the stream of a site's events: what to look for in the keys
// that a batch touched.
func EventsKey(site string) string { return keyEvents(site) }

// SessionsEndKey is the stream that gets an entry when an agent signs out.
const SessionsEndKey = keySessionsEnd

// seqID is the stream id of entry seq of one of the domain's streams.
func seqID(seq int64) keyspace.StreamID { return keyspace.StreamID{Ms: uint64(seq)} }

// members gives the members of a set in the order of their bytes.
func members(tx *keyspace.Tx, key string) ([]string, error) {
	var out []string
	err := tx.SEach([]byte(key), func(m []byte) bool {
		out = append(out, string(m))
		return true
	})
	slices.Sort(out)
	return out, err
}

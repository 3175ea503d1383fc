package core_test

import (
	"testing"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/command"
)

// TestListsOfAnUnknownStatus: a slip of the pen is not an empty list.
func TestListsOfAnUnknownStatus(t *testing.T) {
	w := newWorld(t)
	for list, known := range map[string]string{
		"CHAT.LIST":    "waiting, chatting, ended",
		"VISITOR.LIST": "browsing, waiting, chatting, offline, left",
		"AGENT.LIST":   "online, away, offline",
	} {
		for _, status := range []string{"wating", "", "ENDED"} {
			w.fails(core.CodeInvalid, known, command.New(list, "shop", "STATUS", status))
		}
		w.ok(command.New(list, "shop"))
	}
	w.ok(command.New("CHAT.LIST", "shop", "STATUS", "ended"))
	w.ok(command.New("VISITOR.LIST", "shop", "STATUS", "left"))
	w.ok(command.New("AGENT.LIST", "shop", "STATUS", "away"))
}

// TestTextsThatNobodyCanRead: they are refused wherever somebody writes to
// somebody, and text as people write it is not.
func TestTextsThatNobodyCanRead(t *testing.T) {
	w := newWorld(t)
	w.agent("alice", 1)
	w.agent("bob", 1)
	w.visitor("vera")
	w.visitor("wim")
	w.asks("vera", core.ChatChatting)
	ways := func(text string) []command.Args {
		return []command.Args{
			core.ChatSend{Chat: "chat-vera", From: core.Party{Type: core.FromVisitor, ID: "vera"}, Text: text}.Args(),
			core.AgentSend{To: "bob", From: "alice", Text: text}.Args(),
			core.VisitorInvite{Visitor: "wim", Text: text, Agent: "alice"}.Args(),
		}
	}
	for text, says := range map[string]string{
		"":                   "is empty",
		" ":                  "only white space",
		"\r\n\t\u00a0\u3000": "only white space",
		"a\x00b":             "U+0000",
		"\x1b[2J":            "U+001B",
		"back\rover":         "U+000D",
		"\x7f":               "U+007F",
		"\u0085x":            "U+0085",
		"\xff":               "not valid UTF-8",
		"\xed\xa0\x80":       "not valid UTF-8",
	} {
		for _, args := range ways(text) {
			w.fails(core.CodeInvalid, says, args)
		}
	}
	for _, args := range ways("Hello,\r\n\tVera:\n👩‍💻 Grüße, שלום") {
		w.ok(args)
	}
}

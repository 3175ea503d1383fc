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

package main

import (
	"strings"
	"testing"

	"github.com/parlorchat/parlor/node"
)

// TestStatusSaysThatNobodyLeads: an operator who looks after two of three
// machines went down is told what it means, and nothing of the kind before.
func TestStatusSaysThatNobodyLeads(t *testing.T) {
	for leader, want := range map[string]bool{"n1": false, "": true} {
		var out strings.Builder
		s := node.Status{NodeID: "n1", Leader: leader, Voters: 3, Members: []node.Member{{ID: "n1", Voter: true, Reachable: true}, {ID: "n2", Voter: true}}}
		if err := printStatus(&out, s); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "no leader:"); got != want {
			t.Errorf("with leader %q status prints:\n%s", leader, &out)
		}
	}
}

package main

import (
	"testing"

	"github.com/parlorchat/parlor/web/webtest"
)

// TestFirstChatInABrowser is the demo as people use it: the shop on one node,
// the console on another, and the visitor's node killed while they talk.
func TestFirstChatInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real nodes and a browser")
	}
	webtest.Need(t)
	g := startGroup(t, 3, demoSite(), "--demo")
	shop := "http://" + g.members[0].http
	webtest.FirstChat(t, webtest.Target{
		Shop: shop + "/demo/", Next: shop + "/demo/pricing", Console: "http://" + g.members[2].http + "/console/",
		Login: "alice", Password: demoPassword, Typing: true,
		Restart: func(t *testing.T) {
			if err := g.members[0].kill(); err != nil {
				t.Fatal(err)
			}
			if err := g.startMember(g.members[0]); err != nil {
				t.Fatal(err)
			}
		},
	})
}

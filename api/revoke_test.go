package api_test

import (
	"testing"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// TestRevokedAtOnce: who may not listen any more hears of it at once, on
// whichever member he is.
func TestRevokedAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		revoke func(w *world, bob *actor)
	}{
		{"signed out", func(_ *world, bob *actor) { bob.do("POST", "/v1/logout", nil).ok() }},
		{"another password", func(w *world, _ *actor) {
			hash, err := passwordHash()
			if err != nil {
				t.Fatal(err)
			}
			w.group.advance(1)
			w.run(core.AgentUpdate{ID: "bob", PasswordHash: hash}.Args())
		}},
		{"removed", func(w *world, _ *actor) { w.run(core.AgentRemove{ID: "bob"}.Args()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			bob, alice := w.login("bob"), w.login("alice")
			here, there := bob.dial("/v1/socket", ""), bob.at(1).dial("/v1/socket", "")
			others := alice.at(1).dial("/v1/socket", "")
			others.next()
			here.next()
			there.next()
			refused := make(chan *answer, 1)
			go func() {
				defer close(refused)
				for { // others come and go: that ends a long-poll too
					if got := bob.at(1).do("GET", "/v1/sync?wait=25", nil); got.status != 200 {
						refused <- got
						return
					}
				}
			}()
			eventually(t, "the long-poll waits", func() bool { return w.servers[1].Polls() > 0 })

			c.revoke(w, bob)

			here.closedWith(4001)
			there.closedWith(4001)
			got, ok := <-refused
			if !ok {
				t.Fatal("the long-poll failed")
			}
			got.fails(401, "unauthorized")
			// Whose session is good goes on.
			others.send(object{"op": "ping"})
			others.next()
		})
	}
}

// TestAnotherRole: what an agent sees follows his role at once; he goes on by
// his cursor, with the new one.
func TestAnotherRole(t *testing.T) {
	w := newWorld(t, 2)
	w.online("alice")
	bob := w.login("bob")
	socket := bob.at(1).dial("/v1/socket", "")
	socket.next()
	eventually(t, "bob is connected: nothing else comes", func() (connected bool) {
		err := w.nodes[1].View(func(tx *keyspace.Tx) error {
			agent, _, err := core.GetAgent(tx, "bob")
			connected = agent.Connected
			return err
		})
		return connected && err == nil
	})
	at := bob.at(1).poll("/v1/sync", "", 0, 0)
	answered := bob.at(1).polling("/v1/sync", at.Epoch, at.Seq)
	w.run(core.AgentUpdate{ID: "bob", Role: core.RoleAdmin}.Args())
	socket.closedWith(4000)
	if f := answered(); !f.Reset {
		t.Fatalf("the long-poll got %+v", f)
	}

	socket = bob.at(1).dial("/v1/socket", "")
	socket.next()
	visitor, _ := w.stranger().visit("https://shop.example/")
	visitor.request("Vera") // alice gets it
	visitor.do("POST", "/v1/visitor/messages", object{"client_id": "1", "text": "for alice"}).ok()
	if f := socket.frame("message.created"); f.text() != "for alice" {
		t.Fatalf("an admin sees %q", f.text())
	}
	w.run(core.AgentUpdate{ID: "bob", Role: core.RoleAgent}.Args())
	socket.closedWith(4000)
}

// TestARemovedVisitor: his connections end.
func TestARemovedVisitor(t *testing.T) {
	w := newWorld(t, 2)
	visitor, page := w.stranger().visit("https://shop.example/")
	other, _ := w.stranger().visit("https://shop.example/")
	socket, others := visitor.at(1).dial("/v1/visitor/socket", ""), other.at(1).dial("/v1/visitor/socket", "")
	socket.next()
	others.next()
	w.run(core.VisitorRemove{ID: page.Visitor.ID}.Args())
	socket.closedWith(4001)
	others.send(object{"op": "ping"})
	others.next()
}

package api_test

import (
	"strings"
	"testing"

	"github.com/parlorchat/parlor/api"
)

// TestADrainedNodeIsUsedAgain: who was sent away for maintenance may come back.
func TestADrainedNodeIsUsedAgain(t *testing.T) {
	w := newWorld(t, 1)
	visitor, page := w.stranger().visit("https://shop.example/")
	phone := visitor.dial("/v1/visitor/socket", "")
	phone.next()
	w.servers[0].Drain()
	phone.closedWith(4002)
	visitor.do("GET", "/v1/visitor/sync", nil).fails(503, "unavailable")
	w.stranger().do("GET", "/readyz", nil).fails(503, "unavailable")
	w.servers[0].Resume()
	w.stranger().do("GET", "/readyz", nil).ok()
	visitor.dial("/v1/visitor/socket", "").next()
	if got := visitor.poll("/v1/visitor/sync", page.Epoch, page.Seq, 0.01); got.Reset {
		t.Errorf("the poll was answered with %+v", got)
	}
}

// TestReadyzTellsWhatIsMissing: an operator asks why, a load balancer whether
// it is the leader.
func TestReadyzTellsWhatIsMissing(t *testing.T) {
	w := newWorld(t, 1)
	leads := false
	w.serve(w.group.members[0], func(c *api.Config) { c.Leads = func() bool { return leads } })
	ask := func(query string) *answer { return w.stranger().at(1).do("GET", "/readyz"+query, nil) }
	ask("?role=leader").fails(503, "unavailable")
	ask("?role=king").fails(422, "invalid_request")
	leads = true
	ask("?role=leader").ok()

	if got := string(ask("?verbose").ok().body); !strings.HasSuffix(got, "\nready\n") || strings.Contains(got, "[-]") {
		t.Errorf("a node that is ready says %q", got)
	}
	w.servers[1].Drain()
	got := ask("?verbose")
	if text := string(got.body); got.status != 503 || !strings.HasPrefix(text, "[-] takes clients: ") || !strings.Contains(text, "[+] a majority answers") {
		t.Errorf("a drained node says %d %q", got.status, text)
	}
}

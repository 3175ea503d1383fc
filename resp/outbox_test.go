package resp

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// openOutbox gives an outbox whose client reads all that comes, and tells it at
// the end.
func openOutbox(t *testing.T) (o *outbox, read func() string) {
	here, there := net.Pipe()
	var written, limit atomic.Int64
	o = newOutbox(here, time.Minute, &written, newBacklog(&limit))
	go func() {
		_ = o.run()
		_ = here.Close()
	}()
	all := make(chan string)
	go func() {
		b, _ := io.ReadAll(there)
		all <- string(b)
	}()
	t.Cleanup(func() { _ = here.Close() })
	return o, func() string { return <-all }
}

// What is held goes in its order, before what is pushed later, and is not lost
// when the connection ends.
func TestWhatIsHeldGoesInItsOrder(t *testing.T) {
	const hard = 1 << 20
	o, read := openOutbox(t)
	want := ""
	hold := func(text string, first bool) {
		t.Helper()
		if got, err := o.hold([]byte(text), hard); err != nil || got != first {
			t.Fatalf("holding %d bytes: %v, first %v", len(text), err, got)
		}
		want += text
	}
	push := func(text string) {
		t.Helper()
		if err := o.push([]byte(text), hard); err != nil {
			t.Fatal(err)
		}
		want += text
	}
	hold("a", true)
	hold("b", false)
	push("c")
	hold("d", true)
	o.flush()
	o.flush()
	hold("e", true)
	push(strings.Repeat("f", 2*heldBytes))
	hold("g", true)
	hold(strings.Repeat("h", heldBytes), false) // too much to be held: all of it goes
	hold("i", true)
	o.finish()
	if got := read(); got != want {
		t.Errorf("%d bytes came, want %d, in another order maybe", len(got), len(want))
	}
}

// What is held counts among what waits, and too much of it ends the connection.
func TestWhatIsHeldIsLimited(t *testing.T) {
	o, read := openOutbox(t)
	if _, err := o.hold(make([]byte, 100), 150); err != nil || o.waiting() != 100 {
		t.Fatalf("%d bytes wait, %v", o.waiting(), err)
	}
	if err := o.push(make([]byte, 100), 150); err != errOutputLimit {
		t.Errorf("more than may wait was taken: %v", err)
	}
	if _, err := o.hold([]byte("x"), 150); err != errOutputLimit || o.waiting() != 0 {
		t.Errorf("the connection has ended, %d bytes wait, and more is held: %v", o.waiting(), err)
	}
	if got := read(); got != "" {
		t.Errorf("%d bytes came", len(got))
	}
}

package api_test

import (
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/core"
)

// TestResume: while an agent and others write, a visitor keeps losing his
// connection and comes back on the other member, by socket and by long-poll in
// turn. He gets every message once and in order.
func TestResume(t *testing.T) {
	const messages = 300
	w := newWorld(t, 2)
	w.online("alice")
	visitor, page := w.stranger().visit("https://shop.example/")
	_, chat, _ := visitor.request("Vera")
	others, _ := w.stranger().visit("https://shop.example/others")

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range messages {
			w.run(core.ChatSend{Chat: chat.ID, From: core.Party{Type: core.FromAgent, ID: "alice"}, Text: fmt.Sprint(i)}.Args())
			if i%7 == 0 {
				others.visit(fmt.Sprint("https://shop.example/", i))
			}
		}
	}()

	got := 0
	take := func(frames []frame) {
		for _, f := range frames {
			if f.Type != "message.created" {
				continue
			}
			if text := f.text(); text != fmt.Sprint(got) {
				t.Fatalf("message %d is %q", got, text)
			}
			got++
		}
	}
	epoch, seq := page.Epoch, page.Seq
	for turn := 0; got < messages; turn++ {
		who := visitor.at(turn % 2)
		if turn%3 == 0 {
			f := who.poll("/v1/visitor/sync", epoch, seq, 20)
			if f.Reset {
				t.Fatal("reset")
			}
			take(f.Frames)
			epoch, seq = f.Epoch, f.Seq
			continue
		}
		phone := who.dial("/v1/visitor/socket", fmt.Sprintf("?epoch=%s&since=%d", epoch, seq))
		for range 1 + turn%4 {
			f := phone.next()
			if f.Reset {
				t.Fatal("reset")
			}
			take(f.Frames)
			epoch, seq = f.Epoch, f.Seq
			if got == messages {
				break
			}
		}
		phone.conn.Close() // without a word
	}
	<-sent
	if rest := visitor.poll("/v1/visitor/sync", epoch, seq, 0); len(rest.Frames) > 0 {
		t.Fatalf("after the last message: %+v", rest.Frames)
	}
}

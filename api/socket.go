package api

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Close codes of docs/events.md.
const (
	closeResync       = 4000
	closeUnauthorized = 4001
	closeGoingAway    = 4002
)

const (
	// pingEvery keeps proxies from cutting the connection and clients at a
	// recent position.
	pingEvery = 25 * time.Second
	// silence is how long a client may say nothing, not even pong.
	silence = 60 * time.Second
	// writeWait is how long a write may take before the client counts as gone.
	writeWait = 10 * time.Second
	// closeWait is how long a client has to answer a close frame.
	closeWait = 2 * time.Second
	// maxMessage is the largest message that a client may send, in bytes: the
	// longest text with every character escaped.
	maxMessage = 6*core.MaxText + 4096
	// answersWaiting is how many answers to a client may wait to be written;
	// when there are more, his messages are not read meanwhile.
	answersWaiting = 16
)

// subprotocol is what the client asks for beside its token.
const subprotocol = "parlor.v1"

func newUpgrader() websocket.FastHTTPUpgrader {
	return websocket.FastHTTPUpgrader{
		Subprotocols:    []string{subprotocol},
		ReadBufferSize:  1024,
		WriteBufferSize: 1024,
		WriteBufferPool: &sync.Pool{},
		// A token, and no cookie, says who calls: the origin says nothing more.
		CheckOrigin: func(*fasthttp.RequestCtx) bool { return true },
		Error: func(ctx *fasthttp.RequestCtx, _ int, reason error) {
			writeProblem(ctx, invalid("header", reason.Error()))
		},
	}
}

// socket is one open WebSocket. Its reader is the goroutine that the HTTP
// server runs for the connection; its writer is one more.
type socket struct {
	server *Server
	call   *call
	conn   *websocket.Conn
	from   *position
	r      *receiver

	answers chan []byte   // to the client's own messages; wantPosition
	ending  chan closing  // why the writer is to close, once
	left    chan struct{} // closed when the writer has left
	once    sync.Once
}

// wantPosition stands for the answer to a ping, which the writer makes.
var wantPosition = []byte{}

// closing is why a socket is closed.
type closing struct {
	code   int
	reason string
}

// socket upgrades a request.
func (s *Server) socket(ctx *fasthttp.RequestCtx, c *call) error {
	if s.isDraining() {
		return s.goingAway(ctx)
	}
	from, err := since(ctx)
	if err != nil {
		return err
	}
	if !websocket.FastHTTPIsWebSocketUpgrade(ctx) {
		return invalid("header.Upgrade", "this path is for WebSockets")
	}
	// The upgrader has answered if there is an error.
	_ = s.upgrader.Upgrade(ctx, func(conn *websocket.Conn) {
		k := &socket{
			server: s, call: c, conn: conn, from: from, r: c.receiver(),
			answers: make(chan []byte, answersWaiting), ending: make(chan closing, 1), left: make(chan struct{}),
		}
		k.serve()
	})
	return nil
}

// serve runs the socket until it is closed.
func (k *socket) serve() {
	s := k.server
	defer func() {
		_ = k.conn.Close()
		if p := recover(); p != nil { // nobody above would
			s.log.Error("a socket panicked", "request_id", k.call.id, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if !s.sockets.add(k) {
		k.say(closing{closeGoingAway, "going-away"})
		return
	}
	defer s.sockets.remove(k)
	leave := s.presence.enter(k.call)
	defer leave()
	defer s.hub.leave(k.r)
	start, err := s.hub.join(s.base, k.r, k.from)
	if k.r.dismissed() != nil {
		k.say(closing{closeUnauthorized, "unauthorized"})
		return
	}
	if err != nil {
		s.problemFor(k.call.id, "opening a socket", err) // for the log
		k.say(closing{closeGoingAway, "going-away"})
		return
	}
	var writer sync.WaitGroup
	writer.Go(func() { k.write(start) })
	k.read()
	k.end(closing{websocket.CloseNormalClosure, ""})
	// The connection's buffers go back to their pool after this.
	writer.Wait()
}

// end asks the writer to close the socket. Only the first reason counts.
func (k *socket) end(why closing) {
	k.once.Do(func() { k.ending <- why })
}

// say sends a close frame.
func (k *socket) say(why closing) {
	_ = k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(why.code, why.reason), time.Now().Add(writeWait))
}

// write sends what there is to send until the socket ends. When it leaves,
// the reader has a moment to read the client's own close frame: closing at
// once could throw away what was written last.
func (k *socket) write(start opening) {
	defer func() {
		close(k.left)
		_ = k.conn.SetReadDeadline(time.Now().Add(closeWait))
	}()
	if !k.send(appendFrames(nil, start.at, start.reset, start.frames)) {
		return
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case why := <-k.ending:
			k.say(why)
			return
		case body := <-k.answers:
			if len(body) > 0 && !k.send(body) || len(body) == 0 && !k.pass(true) {
				return
			}
		case <-k.r.notify:
			if !k.pass(false) {
				return
			}
		case <-ping.C:
			if !k.beat() {
				return
			}
		}
	}
}

// beat pings, tells the position, so that a client for whom there was nothing
// does not fall behind, and sees whether he may still listen.
func (k *socket) beat() bool {
	if !k.server.mayListen(k.call) {
		k.say(closing{closeUnauthorized, "unauthorized"})
		return false
	}
	if err := k.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
		return false
	}
	return k.pass(true)
}

// pass sends the frames that wait; always: even if there are none.
func (k *socket) pass(always bool) bool {
	if k.r.dismissed() != nil {
		k.say(closing{closeUnauthorized, "unauthorized"})
		return false
	}
	frames, at, ok := k.r.take()
	if !ok {
		k.say(closing{closeResync, "resync"})
		return false
	}
	if len(frames) == 0 && !always {
		return true
	}
	return k.send(appendFrames(nil, at, false, frames))
}

// send writes one message.
func (k *socket) send(body []byte) bool {
	if err := k.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return false
	}
	return k.conn.WriteMessage(websocket.TextMessage, body) == nil
}

// mayListen says whether a caller's session or token is still good: they also
// expire, which nobody tells.
func (s *Server) mayListen(c *call) bool {
	if c.visitor != nil {
		return s.now().UnixMilli() < c.visitor.Expires
	}
	ok := true
	err := s.node.View(func(tx *keyspace.Tx) (err error) {
		_, ok, err = core.GetSession(tx, c.session)
		return err
	})
	return ok || err != nil
}

// read takes the client's messages until the connection ends.
func (k *socket) read() {
	k.conn.SetReadLimit(maxMessage)
	k.conn.SetPongHandler(k.alive)
	for k.alive("") == nil {
		kind, body, err := k.conn.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.TextMessage {
			continue
		}
		if answer := k.handle(body); answer != nil && !k.reply(answer) {
			return
		}
	}
}

// alive lets the client be silent for a while from now, unless the socket is
// being closed.
func (k *socket) alive(string) error {
	select {
	case <-k.left:
		return nil
	default:
		return k.conn.SetReadDeadline(time.Now().Add(silence))
	}
}

// reply hands an answer to the writer.
func (k *socket) reply(body []byte) bool {
	select {
	case k.answers <- body:
		return true
	case <-k.left:
		return false
	}
}

// clientMessage is what a client sends.
type clientMessage struct {
	Op      string `json:"op"`
	Chat    string `json:"chat"`
	Typing  bool   `json:"typing"`
	Preview string `json:"preview"`
	messageInput
}

// nack says that a message was not taken.
type nack struct {
	ClientID string `json:"client_id,omitempty"`
	Code     string `json:"code"`
	Message  string `json:"message"`
}

// ack says where a message is found.
type ack struct {
	ClientID string `json:"client_id"`
	core.Sent
}

// handle carries out a client's message and gives the answer, nil if none.
func (k *socket) handle(body []byte) []byte {
	var m clientMessage
	if err := decodeJSON(body, &m); err != nil {
		return k.refuse("", err)
	}
	s := k.server
	if err := s.limit(k.call); err != nil {
		return k.refuse(m.ClientID, err)
	}
	switch m.Op {
	case "ping":
		return wantPosition
	case "typing":
		if err := k.typing(m); err != nil {
			s.log.Debug("telling that somebody types", "err", err)
		}
		return nil
	case "send":
		sent, err := k.sendMessage(m)
		if err != nil {
			return k.refuse(m.ClientID, err)
		}
		return encode(map[string]ack{"ack": {ClientID: m.ClientID, Sent: sent}})
	}
	return k.refuse(m.ClientID, invalid("op", "must be send, typing or ping"))
}

func (k *socket) refuse(clientID string, err error) []byte {
	p := k.server.problemFor(k.call.id, "socket", err)
	return encode(map[string]nack{"nack": {ClientID: clientID, Code: p.Code, Message: p.Detail}})
}

func (k *socket) sendMessage(m clientMessage) (core.Sent, error) {
	c := *k.call // of this message, so that two do not share what they change
	if c.agent != nil {
		return k.server.agentSends(k.server.base, &c, m.Chat, m.messageInput)
	}
	return k.server.visitorSends(k.server.base, &c, m.Chat, m.messageInput)
}

func (k *socket) typing(m clientMessage) error {
	s := k.server
	if k.call.agent != nil {
		chat, err := s.ownChat(s.base, k.call, m.Chat)
		if err != nil {
			return err
		}
		return s.typing.agent(&chat.Chat, k.call.agent, m.Typing)
	}
	chat, err := s.presentChat(s.base, k.call)
	if err != nil || chat == "" || m.Chat != "" && m.Chat != chat {
		return err
	}
	return s.typing.visitor(k.call.visitor.Site, k.call.visitor.Visitor, chat, typingInput{Typing: m.Typing, Preview: m.Preview})
}

// socketRegistry knows all open sockets: the HTTP server forgets a connection
// once it is upgraded, so that Shutdown would not wait for it.
type socketRegistry struct {
	mu   sync.Mutex
	open map[*socket]bool
	away bool          // nobody is taken in
	gone bool          // … and nobody will be
	none chan struct{} // closed when gone and nothing is open
}

func newSocketRegistry() *socketRegistry {
	return &socketRegistry{open: map[*socket]bool{}, none: make(chan struct{})}
}

// add registers a socket; false: the server is going away.
func (sr *socketRegistry) add(k *socket) bool {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	if sr.away {
		return false
	}
	sr.open[k] = true
	return true
}

func (sr *socketRegistry) remove(k *socket) {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	delete(sr.open, k)
	sr.settle()
}

// settle closes none if its time has come. mu is held.
func (sr *socketRegistry) settle() {
	if !sr.gone || len(sr.open) > 0 {
		return
	}
	select {
	case <-sr.none:
	default:
		close(sr.none)
	}
}

// goAway tells all clients to use another node; for good if last is set.
func (sr *socketRegistry) goAway(last bool) {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	sr.away = true
	sr.gone = sr.gone || last
	for k := range sr.open {
		k.end(closing{closeGoingAway, "going-away"})
	}
	sr.settle()
}

// comeBack takes clients in again, unless they were sent away for good.
func (sr *socketRegistry) comeBack() {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	sr.away = sr.gone
}

// wait waits until all sockets are closed; when ctx ends it cuts those that
// are left.
func (sr *socketRegistry) wait(ctx context.Context) error {
	select {
	case <-sr.none:
		return nil
	case <-ctx.Done():
	}
	sr.mu.Lock()
	for k := range sr.open {
		_ = k.conn.Close()
	}
	sr.mu.Unlock()
	<-sr.none
	return ctx.Err()
}

// count gives the number of open sockets.
func (sr *socketRegistry) count() int {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	return len(sr.open)
}

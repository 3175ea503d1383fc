package resp

import (
	"encoding/binary"

	"github.com/parlorchat/parlor/storage/command"
)

// broadcastTopic is under what messages travel between nodes.
const broadcastTopic = "resp.pubsub"

// maxMessage is how many bytes channel and message may have together: what a
// broadcast carries, less its head.
const maxMessage = 512<<10 - 64

var errLongMessage = command.Errorf("ERR", "channel and message are longer than 524224 bytes together, nothing was published")

// publish gives a message to the subscribers of this node, who have it when t is
// flushed, and sends it to the other nodes. It tells how many receive it here.
func (s *Server) publish(kind audience, channel, message []byte, t *hearers) int64 {
	s.store.Broadcast(broadcastTopic, encodeMessage(kind, channel, message))
	return s.pubsub.deliver(kind, channel, message, t)
}

// encodeMessage writes the audience (1 byte), the length of the channel
// (uvarint), the channel, and the message.
func encodeMessage(kind audience, channel, message []byte) []byte {
	b := make([]byte, 0, 1+binary.MaxVarintLen64+len(channel)+len(message))
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(len(channel)))
	b = append(b, channel...)
	return append(b, message...)
}

// hear delivers messages of another node. What cannot be read is from a newer
// program, and is left out.
func (s *Server) hear(messages [][]byte) {
	var t hearers
	defer t.flush()
	for _, b := range messages {
		if len(b) == 0 || b[0] != byte(byChannel) && b[0] != byte(byShard) {
			continue
		}
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			continue
		}
		rest := b[1+n:]
		s.pubsub.deliver(audience(b[0]), rest[:size], rest[size:], &t)
	}
}

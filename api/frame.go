package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// frame is one event, or one whisper, encoded once for all who get it.
type frame struct {
	event *core.Event // what tells who may see it; nil: a whisper
	body  []byte      // JSON object
}

// newFrame encodes an event. What the ring holds on to is small: of the data
// only what ForAgent looks at stays beside the body.
func newFrame(e *core.Event) *frame {
	kept := *e
	if e.Type != core.EventAgentMessage {
		kept.Data = nil
	}
	return &frame{event: &kept, body: encode(e)}
}

// encode gives v as JSON. The values of this package always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("api: encoding an answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// appendFrames writes the object that long-poll and WebSocket carry.
func appendFrames(dst []byte, at position, reset bool, frames []*frame) []byte {
	dst = append(dst, `{"epoch":`...)
	dst = append(dst, encode(at.epoch)...)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendInt(dst, at.seq, 10)
	dst = append(dst, `,"reset":`...)
	dst = strconv.AppendBool(dst, reset)
	dst = append(dst, `,"frames":[`...)
	for i, fr := range frames {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, fr.body...)
	}
	return append(dst, ']', '}')
}

// isEventsKey says whether a key is the event stream of some site.
func isEventsKey(key string) bool {
	return strings.HasPrefix(key, "site:") && strings.HasSuffix(key, ":events")
}

// readPosition gives the newest position in a site's stream.
func readPosition(tx *keyspace.Tx, site string) (position, error) {
	epoch, err := core.Epoch(tx)
	if err != nil {
		return position{}, err
	}
	last, err := core.LastEvent(tx, site)
	return position{epoch: epoch, seq: last}, err
}

// readEvents gives the next events after a position.
func readEvents(tx *keyspace.Tx, site string, after int64) ([]core.Event, error) {
	return core.ReadEvents(tx, site, after, readAtOnce)
}

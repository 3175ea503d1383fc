package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parlorchat/parlor/core"
)

// message is the body of a delivery.
type message struct {
	Type      string      `json:"type"`
	Timestamp string      `json:"timestamp"` // when it happened, RFC 3339 with milliseconds, UTC
	Data      *core.Event `json:"data"`
}

func body(e *core.Event) ([]byte, error) {
	b, err := json.Marshal(message{
		Type:      e.Type,
		Timestamp: time.UnixMilli(e.At).UTC().Format("2006-01-02T15:04:05.000Z"),
		Data:      e,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding event %d: %w", e.Seq, err)
	}
	return b, nil
}

// messageID names an event for its receivers: the same for every attempt, on
// every node, and no other event of any site has it. The epoch is in it
// because numbers come again after a restore from a backup.
func messageID(epoch string, e *core.Event) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", epoch, e.Site, e.Seq))
	return "evt_" + hex.EncodeToString(sum[:16])
}

package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parlorchat/parlor/rules"
)

// Headers of a delivery.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// parseSecret gives the key of a secret such as "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".
func parseSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, rules.SecretPrefix)
	if !ok {
		return nil, fmt.Errorf("the secret does not begin with %q", rules.SecretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding the secret: %w", err)
	}
	return key, nil
}

// sign gives the value of the signature header: one signature for each key,
// so that the receiver can change his secret when he likes.
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

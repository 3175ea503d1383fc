package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Visitor tokens are signed, not stored: any node can check one with the key
// that all of them hold. The form is v1.<payload>.<mac>, both base64url
// without padding, which is also a valid WebSocket subprotocol. The mac is
// HMAC-SHA256 over "v1.<payload>".

// tokenLife is how long a visitor token is good for. Each page call hands out
// a fresh one.
const tokenLife = 30 * 24 * time.Hour

// tokenVersion is the first part of a token.
const tokenVersion = "v1"

// maxTokenLength bounds what is decoded, in bytes.
const maxTokenLength = 512

// visitorClaims is what a visitor token says.
type visitorClaims struct {
	Site    string `json:"s"`
	Visitor string `json:"v"`
	Expires int64  `json:"e"` // ms since 1970
}

// signVisitor makes a token.
func signVisitor(key []byte, c visitorClaims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic("visitor claims: " + err.Error()) // two strings and a number
	}
	head := tokenVersion + "." + base64.RawURLEncoding.EncodeToString(payload)
	return head + "." + base64.RawURLEncoding.EncodeToString(tokenMAC(key, head))
}

// verifyVisitor checks a token and gives what it says. The problem's code
// tells a token that is none (unauthorized), one signed by somebody else
// (token_foreign) and one whose time is over (token_expired) apart.
func verifyVisitor(key []byte, token string, now int64) (visitorClaims, error) {
	var c visitorClaims
	malformed := problem(codeUnauthorized, "this is not a visitor token; POST /v1/visitor/page without a token gives one")
	head, mac, ok := cutLast(token)
	if !ok || len(token) > maxTokenLength {
		return c, malformed
	}
	version, payload, ok := strings.Cut(head, ".")
	if !ok || version != tokenVersion {
		return c, malformed
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err != nil || len(sum) != sha256.Size {
		return c, malformed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return c, malformed
	}
	if len(key) == 0 || !hmac.Equal(sum, tokenMAC(key, head)) {
		return c, problem(codeTokenForeign, "this token was not issued here; POST /v1/visitor/page without a token gives a new one")
	}
	if err := json.Unmarshal(raw, &c); err != nil || c.Site == "" || c.Visitor == "" {
		return visitorClaims{}, malformed
	}
	if now >= c.Expires {
		return visitorClaims{}, problem(codeTokenExpired, "this token has expired; POST /v1/visitor/page without a token gives a new one")
	}
	return c, nil
}

func tokenMAC(key []byte, head string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(head))
	return m.Sum(nil)
}

// cutLast splits at the last dot.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

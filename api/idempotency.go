package api

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/google/uuid"
)

// A POST that makes something names it before it proposes. With an
// Idempotency-Key the name follows from the key and from who calls, so that
// the same call made twice, on whatever nodes, makes the same command twice,
// and core knows the second for a repetition. Nothing has to be remembered.

// newID makes an id for a new object: from the call's Idempotency-Key if it
// has one, else a UUIDv7. caller is whoever the key belongs to. The group's
// token key goes in, so that nobody can tell an id beforehand.
func (s *Server) newID(c *call, kind, caller string) (string, error) {
	if c.key == "" {
		id, err := uuid.NewV7()
		return id.String(), err
	}
	key, err := s.tokenKey()
	if err != nil {
		return "", err
	}
	return deriveID(key, kind, caller, c.key), nil
}

// deriveID makes a UUIDv8 of an HMAC-SHA256 over its parts.
func deriveID(secret []byte, parts ...string) string {
	m := hmac.New(sha256.New, secret)
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		m.Write(sum[:])
	}
	var id uuid.UUID
	copy(id[:], m.Sum(nil))
	id[6] = id[6]&0x0f | 0x80 // version 8: ours
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id.String()
}

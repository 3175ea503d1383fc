package core

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of a password hash: what OWASP recommends for argon2id.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// Bounds that a stored hash must keep to, so that a bad one cannot exhaust
// the machine that verifies it.
const (
	maxArgonMemory = 256 * 1024 // KiB
	maxArgonTime   = 10
)

// MaxPassword is the longest password, in bytes. MinPassword is the shortest.
const (
	MinPassword = 8
	MaxPassword = 256
)

// HashPassword makes the argon2id hash of a password in PHC form:
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash. It takes some 20 ms and 19 MiB and
// must run before the log, because its salt is random.
func HashPassword(password string) (string, error) {
	if len(password) < MinPassword || len(password) > MaxPassword {
		return "", fail(CodeInvalid, "a password has %d to %d bytes, this one has %d", MinPassword, MaxPassword, len(password))
	}
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("salting a password: %w", err)
	}
	p := phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: salt}
	p.key = p.derive(password, argonKey)
	return p.String(), nil
}

// VerifyPassword says whether a password belongs to a hash in PHC form. It
// takes the same time for an empty or malformed hash, so that an answer does
// not tell whether an agent exists.
func VerifyPassword(hash, password string) bool {
	p, err := parsePHC(hash)
	if err != nil {
		p = phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}
	}
	if len(password) > MaxPassword {
		return false
	}
	same := subtle.ConstantTimeCompare(p.derive(password, uint32(len(p.key))), p.key) == 1
	return same && err == nil
}

// phc is an argon2id hash.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (p *phc) derive(password string, length uint32) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, length)
}

func (p *phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

// parsePHC reads what String wrote, with other costs too.
func parsePHC(s string) (phc, error) {
	bad := fail(CodeInvalid, "a password hash has the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, bad
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return phc{}, bad
	}
	var errSalt, errKey error
	p.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	p.key, errKey = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case errSalt != nil, errKey != nil,
		p.memory < 8*uint32(p.threads), p.memory > maxArgonMemory,
		p.time < 1, p.time > maxArgonTime, p.threads < 1,
		len(p.salt) < 8, len(p.salt) > 64, len(p.key) < 16, len(p.key) > 64:
		return phc{}, bad
	}
	return p, nil
}

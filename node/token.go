package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A join token is "K10{sha256 of the authority's certificate, hex}::{id}:{secret}".
// The fingerprint lets the new member know the group before it sends the
// secret. The group keeps only a hash of the secret, under secret:join:{id}.
const (
	tokenPrefix = "K10"
	tokenKey    = "secret:join:"
	tokenTTL    = time.Hour
	tokenTTLMax = 30 * 24 * time.Hour

	// tokenRemembered is how long at least it is known what was a token.
	tokenRemembered = 24 * time.Hour
)

type token struct {
	fingerprint string
	id          string
	secret      string
}

func (t token) String() string { return tokenPrefix + t.fingerprint + "::" + t.id + ":" + t.secret }

func newToken(fingerprint string) token {
	return token{fingerprint: fingerprint, id: randomText(6), secret: randomText(32)}
}

// randomText is n random bytes in hexadecimal, which needs no quoting anywhere.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // does not fail
	return hex.EncodeToString(b)
}

func parseToken(s string) (token, error) {
	bad := fail(CodeBadToken, "the join token is malformed: it must be the whole text K10…::…:… that init or token create printed")
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return token{}, bad
	}
	fp, rest, ok := strings.Cut(rest, "::")
	if !ok || len(fp) != 2*sha256.Size {
		return token{}, bad
	}
	if _, err := hex.DecodeString(fp); err != nil {
		return token{}, bad
	}
	id, secret, ok := strings.Cut(rest, ":")
	if !ok || !isTokenID(id) || secret == "" || len(secret) > 128 {
		return token{}, bad
	}
	return token{fingerprint: fp, id: id, secret: secret}, nil
}

func isTokenID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	_, err := hex.DecodeString(id)
	return err == nil
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Token describes a join token, without its secret.
type Token struct {
	ID        string `json:"id"`
	CreatedAt int64  `json:"created_at"` // ms since 1970
	ExpiresAt int64  `json:"expires_at"` // ms since 1970

	// UsesLeft is how many members it still lets in; nil: any number.
	UsesLeft *int `json:"uses_left,omitempty"`

	revision  uint64 // of the record
	authority string // fingerprint of the one that it pins; empty in tokens of the first versions
}

// tokenUsesMax is the largest number of uses that can be asked for.
const tokenUsesMax = 1000

// CreateToken makes a join token that works for ttl (0: an hour; at most 30
// days), for so many members (0: any number). The text is shown once and kept
// nowhere.
func (n *Node) CreateToken(ctx context.Context, ttl time.Duration, uses int) (text string, err error) {
	if ttl == 0 {
		ttl = tokenTTL
	}
	if ttl < time.Second || ttl > tokenTTLMax {
		return "", fail(CodeInvalid, "a join token lives from one second to 30 days")
	}
	if uses < 0 || uses > tokenUsesMax {
		return "", fail(CodeInvalid, "a join token lets in from 1 to 1000 members, or with 0 any number")
	}
	a, _, err := n.signing()
	if err != nil {
		return "", err
	}
	t := newToken(a.Target) // it is to work still when a rotation is done
	cmds := n.tokenCommands(t, ttl)
	if uses > 0 {
		cmds[0] = append(cmds[0], []byte("uses"), strconv.AppendInt(nil, int64(uses), 10))
	}
	return t.String(), n.write(ctx, cmds...)
}

func (n *Node) tokenCommands(t token, ttl time.Duration) []command.Args {
	now := n.readClock()
	expires := strconv.FormatInt(now+ttl.Milliseconds(), 10)
	cmds := []command.Args{command.New("HSET", tokenKey+t.id,
		"hash", hashSecret(t.secret), "created_at", strconv.FormatInt(now, 10), "expires_at", expires, "ca", t.fingerprint)}
	if n.opt.Table.Find([]byte("PEXPIREAT")) != nil {
		// Somebody who comes late is told so for a while, then it is forgotten.
		forget := strconv.FormatInt(now+(ttl+max(ttl, tokenRemembered)).Milliseconds(), 10)
		cmds = append(cmds, command.New("PEXPIREAT", tokenKey+t.id, forget))
	}
	return cmds
}

// Tokens lists the join tokens that were made and not revoked or forgotten.
func (n *Node) Tokens(ctx context.Context) ([]Token, error) {
	if err := n.ReadIndex(ctx); err != nil {
		return nil, err
	}
	var out []Token
	err := n.Walk(func(tx *keyspace.Tx) error {
		var err error
		tx.EachKey([]byte(tokenKey), func(key []byte, _ keyspace.Type) bool {
			id, ok := strings.CutPrefix(string(key), tokenKey)
			if !ok {
				return false
			}
			var t Token
			if t, _, err = readToken(tx, id); err != nil {
				return false
			}
			out = append(out, t)
			return true
		})
		return err
	})
	return out, err
}

// readToken gives a token and the hash of its secret; an empty hash if there
// is no such token.
func readToken(tx *keyspace.Tx, id string) (t Token, hash string, err error) {
	t.ID, t.revision = id, tx.Revision([]byte(tokenKey+id))
	err = tx.HEach([]byte(tokenKey+id), func(field, value []byte) bool {
		switch string(field) {
		case "hash":
			hash = string(value)
		case "created_at":
			t.CreatedAt, _ = strconv.ParseInt(string(value), 10, 64)
		case "expires_at":
			t.ExpiresAt, _ = strconv.ParseInt(string(value), 10, 64)
		case "uses":
			left, _ := strconv.Atoi(string(value))
			t.UsesLeft = &left
		case "ca":
			t.authority = string(value)
		}
		return true
	})
	return t, hash, err
}

// RevokeToken makes a join token useless. Members that came by it stay.
func (n *Node) RevokeToken(ctx context.Context, id string) error {
	if !isTokenID(id) {
		return fail(CodeInvalid, "that is not the id of a join token: it is the part between :: and :")
	}
	r := n.Propose(ctx, []command.Request{{Commands: []command.Args{command.New("DEL", tokenKey+id)}}})[0]
	switch {
	case r.Err != nil:
		return r.Err
	case len(r.Replies) == 1 && r.Replies[0].Int == 0:
		return fail(CodeBadToken, "there is no join token "+id)
	}
	return nil
}

// checkToken tells whether a secret opens the group now.
func (n *Node) checkToken(id, secret string) (Token, error) {
	var t Token
	var hash string
	err := n.look(func(tx *keyspace.Tx) error {
		var err error
		t, hash, err = readToken(tx, id)
		return err
	})
	switch {
	case err != nil:
		return t, err
	case hash == "" || subtle.ConstantTimeCompare([]byte(hash), []byte(hashSecret(secret))) != 1:
		return t, fail(CodeBadToken, "the join token is unknown or was revoked: make another one with token create")
	case n.readClock() >= t.ExpiresAt:
		return t, fail(CodeTokenExpired, "the join token expired at "+time.UnixMilli(t.ExpiresAt).UTC().Format(time.RFC3339)+": make another one with token create")
	case t.UsesLeft != nil && *t.UsesLeft <= 0:
		return t, fail(CodeTokenUsed, "the join token has let in as many nodes as it was made for: make another one with token create")
	}
	return t, nil
}

// useToken checks a token and counts its use, if its uses are counted. Two who
// come at once cannot have the same use: the record must be as it was read.
func (n *Node) useToken(ctx context.Context, id, secret string) error {
	for {
		t, err := n.checkToken(id, secret)
		if err != nil || t.UsesLeft == nil {
			return err
		}
		key := tokenKey + id
		r := n.Propose(ctx, []command.Request{{
			Commands: []command.Args{command.New("HSET", key, "uses", strconv.Itoa(*t.UsesLeft-1))},
			Watches:  []command.Watch{{Key: []byte(key), Revision: t.revision}},
		}})[0]
		if r.Err != nil || r.Replies != nil {
			return r.Err
		}
	}
}

// newSecret is 256 random bits as text, for links.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}

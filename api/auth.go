package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// authenticate finds out who calls.
func (s *Server) authenticate(ctx *fasthttp.RequestCtx, c *call, who access) error {
	switch who {
	case forVisitor, forNewcomer:
		token := bearer(ctx)
		if token == "" && who == forNewcomer {
			return nil
		}
		return s.authenticateVisitor(c, token)
	case forAgent, forAdmin:
		if err := s.authenticateAgent(c, bearer(ctx)); err != nil {
			return err
		}
		if who == forAdmin && c.agent.Role != core.RoleAdmin {
			return problem(codeForbidden, "only an admin may do this")
		}
	}
	return nil
}

func (s *Server) authenticateVisitor(c *call, token string) error {
	if token == "" {
		return problem(codeUnauthorized, "this call needs the visitor token that POST /v1/visitor/page gave: Authorization: Bearer <token>")
	}
	key, err := s.tokenKey()
	if err != nil {
		return err
	}
	claims, err := verifyVisitor(key, token, s.now().UnixMilli())
	if err != nil {
		return err
	}
	c.visitor = &claims
	return nil
}

// tokenKey reads the key that visitor tokens are signed with.
func (s *Server) tokenKey() (key []byte, err error) {
	err = s.node.View(func(tx *keyspace.Tx) (err error) {
		key, err = core.TokenKey(tx)
		return err
	})
	if err == nil && len(key) == 0 {
		err = retryable(codeUnavailable, "the group has not been formed yet", time.Second)
	}
	return key, err
}

// agentTokenPrefix begins an agent's session token, so that people and
// scanners recognise one.
const agentTokenPrefix = "pas_"

func (s *Server) authenticateAgent(c *call, token string) error {
	if token == "" {
		return problem(codeUnauthorized, "this call needs the session token that POST /v1/login gave: Authorization: Bearer <token>")
	}
	if len(token) > maxTokenLength {
		return errSession()
	}
	c.session = hashToken(token)
	agent, ok, err := s.sessionAgent(s.base, c.session)
	if err != nil {
		return err
	}
	if !ok {
		return errSession()
	}
	c.agent = &agent
	return nil
}

func errSession() *Problem {
	return problem(codeUnauthorized, "this session is unknown or over; POST /v1/login begins a new one")
}

// sessionAgent finds the agent of a session.
func (s *Server) sessionAgent(ctx context.Context, hash string) (agent core.Agent, ok bool, err error) {
	ok, err = s.look(ctx, func(tx *keyspace.Tx) (bool, error) {
		session, ok, err := core.GetSession(tx, hash)
		agent = session.Agent
		return ok, err
	})
	return agent, ok, err
}

// newAgentToken makes an opaque token of 256 random bits. Only its hash is
// ever stored.
func newAgentToken() (token, hash string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	token = agentTokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, hashToken(token)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

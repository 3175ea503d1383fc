package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// sessionLife is how long an agent's session is good for.
const sessionLife = 14 * 24 * time.Hour

func (s *Server) loginRoutes() {
	const tag = "session"
	register(s, endpoint{method: http.MethodPost, path: "/v1/login", id: "login", tag: tag, who: forAll,
		summary: "Begins an agent's session"}, s.login)
	register(s, endpoint{method: http.MethodPost, path: "/v1/logout", id: "logout", tag: tag, who: forAgent,
		summary: "Ends the session"}, s.logout)
	register(s, endpoint{method: http.MethodPost, path: "/v1/setup", id: "setup", tag: tag, who: forAll,
		summary: "Makes the first site and its admin, once, with the token that the first start printed"}, s.setup)
}

// loginInput are an agent's credentials.
type loginInput struct {
	Body struct {
		Login    string `json:"login" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"1" maxLength:"1024"`
	}
}

// loginAnswer is a new session.
type loginAnswer struct {
	Token string     `json:"token" doc:"Authorises the agent's calls for 14 days"`
	Agent core.Agent `json:"agent"`
}

func (s *Server) login(ctx context.Context, c *call, in *loginInput) (*reply[loginAnswer], error) {
	now := s.now()
	if err := s.limits.loginFrom.check(c.addr.String(), now); err != nil {
		return nil, err
	}
	if err := s.limits.login.check(in.Body.Login+"\x00"+c.addr.String(), now); err != nil {
		return nil, err
	}
	credentials, err := s.credentials(ctx, in.Body.Login)
	if err != nil {
		return nil, err
	}
	// An agent who does not exist has no hash, and checking that takes as long
	// as checking one.
	ok, err := s.verify(ctx, credentials.PasswordHash, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, problem(codeUnauthorized, "login or password is wrong")
	}
	return s.begin(ctx, c, credentials.Agent.ID)
}

// credentials reads what an agent signs in with; zero if there is no such
// agent.
func (s *Server) credentials(ctx context.Context, login string) (credentials core.Credentials, err error) {
	_, err = s.look(ctx, func(tx *keyspace.Tx) (found bool, err error) {
		credentials, found, err = core.AgentCredentials(tx, login)
		return found, err
	})
	return credentials, err
}

// verify checks a password, a few at a time: each check takes 19 MiB.
func (s *Server) verify(ctx context.Context, hash, password string) (ok bool, err error) {
	release, err := s.hashSlot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	return core.VerifyPassword(hash, password), nil
}

func (s *Server) hash(ctx context.Context, password string) (string, error) {
	release, err := s.hashSlot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return core.HashPassword(password)
}

// hashSlot waits for its turn to hash.
func (s *Server) hashSlot(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-ctx.Done():
		return nil, retryable(codeUnavailable, "too many are signing in at once; try again", time.Second)
	}
}

// begin makes a session.
func (s *Server) begin(ctx context.Context, c *call, agent string) (*reply[loginAnswer], error) {
	token, hash := newAgentToken()
	err := do(ctx, s, c, core.SessionCreate{SHA256: hash, Agent: agent, ExpiresAt: s.now().Add(sessionLife).UnixMilli()})
	if err != nil {
		return nil, err
	}
	out := loginAnswer{Token: token}
	err = s.node.View(func(tx *keyspace.Tx) (err error) {
		out.Agent, _, err = core.GetAgent(tx, agent)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer(out), nil
}

func (s *Server) logout(ctx context.Context, c *call, _ *openInput) (*empty, error) {
	_, err := ask(ctx, s, c, core.SessionRemove{SHA256: c.session})
	return &empty{}, err
}

// setupInput is what the first admin says of himself and of his site.
type setupInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"512"`
		Site  struct {
			ID   string `json:"id" pattern:"^[a-z0-9][a-z0-9._-]{0,63}$"`
			Name string `json:"name,omitempty" maxLength:"256"`
		} `json:"site"`
		Agent struct {
			Login    string `json:"login" pattern:"^[a-z0-9][a-z0-9._-]{0,63}$"`
			Name     string `json:"name,omitempty" maxLength:"256"`
			Password string `json:"password" minLength:"8" maxLength:"256"`
		} `json:"agent"`
	}
}

func (s *Server) setup(ctx context.Context, c *call, in *setupInput) (*reply[loginAnswer], error) {
	if err := s.limits.loginFrom.check(c.addr.String(), s.now()); err != nil {
		return nil, err
	}
	pending, err := s.look(ctx, core.SetupPending)
	if err != nil {
		return nil, err
	}
	if !pending {
		return nil, problem(codeConflict, "the setup has been done; POST /v1/login begins a session")
	}
	hashed, err := s.hash(ctx, in.Body.Agent.Password)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(in.Body.Token))
	err = do(ctx, s, c, core.SystemSetup{
		SetupSHA256: hex.EncodeToString(sum[:]),
		Site:        in.Body.Site.ID, SiteName: in.Body.Site.Name,
		Agent: in.Body.Agent.Login, AgentName: in.Body.Agent.Name, AgentPassHashed: hashed,
	})
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, c, in.Body.Agent.Login)
}

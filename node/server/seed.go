package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/parlorchat/parlor/storage/command"
)

// seed proposes the commands of Options.Seed, as a client would send them one
// by one. Commands that would make what exists already are answered EXISTS or
// CONFLICT, which is fine: every start proposes them again.
func (s *server) seed(ctx context.Context) error {
	table := s.member.Table()
	for _, words := range s.o.Seed {
		args := command.New(words...)
		if len(args) == 0 {
			continue
		}
		spec := table.Find(args[0])
		switch {
		case spec == nil:
			return fmt.Errorf("seed: there is no command %q", words[0])
		case !spec.Is(command.Write) || spec.Is(command.Internal):
			return fmt.Errorf("seed: %s is not for seeds: commands that change something are", words[0])
		case !spec.ArityOK(len(args)):
			return fmt.Errorf("seed: %w", command.ErrArity(words[0]))
		}
		if spec.Prepare != nil {
			prepared, err := spec.Prepare(args)
			if err != nil {
				return fmt.Errorf("seed: %s: %w", words[0], err)
			}
			args = prepared
		}
		result := s.member.Propose(ctx, []command.Request{{Commands: []command.Args{args}}})[0]
		if errors.Is(result.Err, command.ErrNoSpace) {
			s.log.Warn("the rest of the seed is left out", "err", result.Err)
			return nil // that is no reason not to start
		}
		if result.Err != nil {
			return fmt.Errorf("seed: %s: %w", words[0], result.Err)
		}
		if err := result.Replies[0].Err(); err != nil && !known(err) {
			return fmt.Errorf("seed: %s: %w", words[0], err)
		}
	}
	return nil
}

// known says whether a command was refused because its work was done before.
func known(err error) bool {
	e, ok := err.(*command.Error)
	return ok && (e.Code == "EXISTS" || e.Code == "CONFLICT")
}

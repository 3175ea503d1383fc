package resp

import (
	"context"

	"github.com/parlorchat/parlor/storage/command"
)

// ResetDefaultUser forgets what was defined for the user default, in the whole
// group: from then on it may do everything again, with the password of each
// node's configuration, or without one for programs on the same machine. It is
// for who runs the machine and is locked out; other users stay as they are.
// The change holds on each node when that has applied it.
func ResetDefaultUser(ctx context.Context, store Store) error {
	res := store.Propose(ctx, []command.Request{{Commands: []command.Args{
		command.New("DEL", string(aclKey(defaultUser))),
		command.New("XADD", aclChanges, "MAXLEN", "1000", "*", "user", defaultUser, "by", "the admin socket"),
	}}})[0]
	if res.Err != nil {
		return storeError(res.Err, command.ErrUnknownOutcome)
	}
	for _, r := range res.Replies {
		if err := r.Err(); err != nil {
			return err
		}
	}
	return nil
}

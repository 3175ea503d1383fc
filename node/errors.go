package node

import "github.com/parlorchat/parlor/storage/command"

// Error is a failure with a stable code, for the command line and for other
// members. The codes are part of the interface: they are added, never changed.
type Error = command.Error

// Codes of the errors of this package, beside those of command.Result.
const (
	CodeLocked       = "LOCKED"       // another process uses the data folder
	CodeFormed       = "FORMED"       // the data folder already belongs to a member
	CodeNotFormed    = "NOTFORMED"    // the data folder belongs to no member yet
	CodeDamaged      = "DAMAGED"      // the data folder cannot be used as it is
	CodeBadToken     = "BADTOKEN"     // no token, malformed, unknown or revoked
	CodeTokenExpired = "TOKENEXPIRED" // was valid once
	CodeTokenUsed    = "TOKENUSED"    // has let in as many as it was made for
	CodeWrongCA      = "WRONGCA"      // the server is not of the group that the token names
	CodeWrongCluster = "WRONGCLUSTER" // the peer belongs to another group
	CodeRemoved      = "REMOVED"      // this member was taken out of the group for good
	CodeNotMember    = "NOTMEMBER"    // no member of that id
	CodeQuorum       = "QUORUM"       // would leave the group without a majority
	CodeBehind       = "BEHIND"       // the member has not caught up
	CodeUnreachable  = "UNREACHABLE"  // nobody answers there
	CodeNotLeader    = "NOTLEADER"    // asked of a member that does not lead
	CodeNoLeader     = "CLUSTERDOWN"  // there is none, or this member knows of none
	CodeInvalid      = "INVALID"      // an argument that makes no sense
	CodeUnsettled    = "UNSETTLED"    // died in the middle of a restore: take the state of the others
	CodeBusy         = "BUSY"         // the same is under way already
	CodeNotBackup    = "NOTBACKUP"    // the file is no backup
	CodeNewer        = "NEWER"        // of a newer program than this one
	CodeOlder        = "OLDER"        // of an older program than this one can go on from
	CodeCopied       = "COPIED"       // the data folder is a copy of the member's, or lacks what it had
	CodeNotReady     = "NOTREADY"     // an upgrade cannot be finalized yet
	CodeNoSpace      = "NOSPACE"      // the disk has too little room left
	CodeExists       = "EXISTS"       // there is something already
	CodeConfirm      = "CONFIRM"      // it loses data: say that this is meant
	CodeInternal     = "INTERNAL"     // a fault of the member that answered
)

func fail(code, message string) *Error { return &Error{Code: code, Message: message} }

// errUnconfirmed is what a read is told that no leader has confirmed in time.
// It is command.ErrNoLeader, said of a read.
var errUnconfirmed error = unconfirmed{command.ErrUnconfirmed}

type unconfirmed struct{ said *Error }

func (u unconfirmed) Error() string { return u.said.Error() }

// Unwrap gives what a client is told.
func (u unconfirmed) Unwrap() error { return u.said }

// Is makes it known for what it is to those who do not care what was asked.
func (u unconfirmed) Is(target error) bool { return target == error(command.ErrNoLeader) }

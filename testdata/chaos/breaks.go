package main

// lyingDisks is what else can be broken: the disks say that they have synced
// when they have not, as if the program did not wait for it.
const lyingDisks = "sync"

// breaks take back the cure of one fault each. The battery must notice: README
// says how soon it did.
var breaks = map[string]patch{
	"dedup": {"a request that is sent again is carried out again", "raftfsm/repeat.go",
		"fresh := !h.has(seq)\n", "fresh := true\n"},
	"read-index": {"a read asks nobody", "node/readindex.go",
		"if term == 0 {\n\t\treturn 0, false\n\t}\n\tindex = max(", "if true {\n\t\treturn 0, true\n\t}\n\tindex = max("},
	"vain": {"a write that seems to be in vain is tried out on whatever the node has", "resp/loop.go",
		"if !s.server.store.Current() {\n\t\t\treturn s.startWhenCurrent()", "if false {\n\t\t\treturn s.startWhenCurrent()"},
	"verify-leader": {"a leader believes that it still leads", "node/readindex.go",
		"if err := n.confirmLead(term, asked); err != nil {", "if err := error(nil); asked == 0 {"},
	"standing": {"an answer to an old heartbeat says that a leader still leads", "node/standing.go",
		"if yes {\n", "if yes || true {\n"},
	"reseed": {"readers see the table while entries are carried out again on it", "node/node.go",
		"promised := n.applied.index.Load()\n\treturn n.db.View", "promised := uint64(0)\n\treturn n.db.View"},
	"new-clock": {"a new leader takes its machine's clock for the time", "node/leader.go",
		"n.takeUpTime(term)", "n.clock.start(term, max(n.readClock(), n.opt.wall().UnixMilli()))"},
	"slew": {"the leader's clock follows the machine's at once", "node/clock.go",
		"limit := passed / slewShare", "limit := off.Abs()"},
	"watch": {"WATCH watches nothing", "raftfsm/apply.go",
		"if x.tx.Revision(watches[i].Key) != watches[i].Revision {", "if false {"},
	"rewrite": {"what the page cache shows after a start counts as if it were on disk", "raftfsm/logmend.go",
		"_, err = f.WriteAt(b[from:], int64(from))\n", ""},
	"capacity": {"a transfer does not look whether the agent has room", "core/chat_transfer.go",
		"case !a.eligible():", "case false:"},
}

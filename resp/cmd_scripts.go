package resp

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// runsScripts says whether this is a command that runs a script. These are
// unknown, which is what clients probe for, and the error says why.
func runsScripts(name []byte) bool {
	switch strings.ToUpper(string(name)) {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		return true
	}
	return false
}

// scriptCommands answer what is true where no script was ever loaded, because
// clients and their test suites tidy up with them. What would need a script to
// run says that there are none.
func scriptCommands() []local {
	sub := func(name string, arity int, since, summary string, reply func(args [][]byte) command.Reply, args ...command.Arg) local {
		return local{
			spec: command.Spec{Name: name, Arity: arity, Group: "scripting", Since: since, Summary: summary, Args: args, Categories: []string{"slow", "scripting"}},
			run:  func(_ *session, args [][]byte) (command.Reply, error) { return reply(args), nil },
		}
	}
	always := func(r command.Reply) func([][]byte) command.Reply { return func([][]byte) command.Reply { return r } }
	none := func(name string, arity int) local {
		return refusedSub(name[len("SCRIPT "):], arity, command.Errorf("ERR", name+" is not supported: there are no scripts here"))
	}
	noFunction := func(name string, arity int) local {
		return refusedSub(name[len("FUNCTION "):], arity, command.Errorf("ERR", name+" is not supported: there are no functions here"))
	}
	idle := always(command.Fail(command.Errorf("NOTBUSY", "No scripts in execution right now.")))
	mode := command.Arg{Name: "mode", Type: "string", Optional: true}
	return []local{
		container("SCRIPT", "scripting", "2.6.0", "Commands about scripts, of which there are none.", []local{
			sub("EXISTS", -3, "2.6.0", "Says of each script that it is not known.", func(args [][]byte) command.Reply {
				out := make([]command.Reply, len(args)-2)
				for i := range out {
					out[i] = command.Int(0)
				}
				return command.Array(out...)
			}, command.Arg{Name: "sha1", Type: "string", Multiple: true}),
			sub("FLUSH", -2, "2.6.0", "Removes the scripts, of which there are none.", always(command.OK), mode),
			sub("KILL", 2, "2.6.0", "Ends the running script: none runs.", idle),
			none("SCRIPT LOAD", 3), none("SCRIPT DEBUG", 3),
		}),
		container("FUNCTION", "scripting", "7.0.0", "Commands about functions, of which there are none.", []local{
			sub("FLUSH", -2, "7.0.0", "Removes the functions, of which there are none.", always(command.OK), mode),
			sub("LIST", -2, "7.0.0", "Lists the functions: there are none.", always(command.Array()),
				command.Arg{Name: "option", Type: "string", Optional: true, Multiple: true}),
			sub("STATS", 2, "7.0.0", "Tells of running functions and of engines: there are none.",
				always(command.Map(command.BulkString("running_script"), command.Null(), command.BulkString("engines"), command.Map()))),
			sub("KILL", 2, "7.0.0", "Ends the running function: none runs.", idle),
			noFunction("FUNCTION LOAD", -3), noFunction("FUNCTION DELETE", 3), noFunction("FUNCTION DUMP", 2), noFunction("FUNCTION RESTORE", -3),
		}),
	}
}

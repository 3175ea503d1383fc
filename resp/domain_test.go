package resp

import (
	"github.com/parlorchat/parlor/storage/command"
)

// domainSpecs stands in for the commands of the domain.
func domainSpecs() []command.Spec {
	return []command.Spec{
		{
			Name: "VISITOR.CREATE", Arity: -3, Flags: command.Write | command.Module, Summary: "Makes a visitor known.", Group: "module",
			Since: "0.1.0", Categories: []string{"write", "visitor", "slow"}, First: 1, Last: 1, Step: 1, KeyPrefix: "visitor:",
			Args: []command.Arg{{Name: "id", Type: "string"}, {Name: "site", Type: "string"}},
			Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
				_, err := c.HSet(append([]byte("visitor:"), args[1]...), []byte("site"), args[2])
				return command.OK, err
			},
		},
		{
			Name: "AGENT.CREATE", Arity: 3, Flags: command.Write | command.Module, Summary: "Makes an agent.", Group: "module",
			Since: "0.1.0", Categories: []string{"write", "agent", "slow"}, First: 1, Last: 1, Step: 1, KeyPrefix: "agent:",
			Prepare: func(args [][]byte) ([][]byte, error) {
				if len(args[2]) < 8 {
					return nil, command.Errorf("INVALID", "password is shorter than 8 characters")
				}
				return [][]byte{args[0], args[1], []byte("hash-of-it")}, nil
			},
			Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
				c.Set(append([]byte("secret:agent:"), args[1]...), args[2])
				return command.Bulk(args[2]), nil
			},
		},
		{
			Name: "SYSTEM.TICK", Arity: 2, Flags: command.Write | command.Module | command.Internal, Summary: "What time has come for.",
			Group: "module", Since: "0.1.0", Categories: []string{"write", "system", "slow"},
			Run: func(*command.Call, [][]byte) (command.Reply, error) { return command.OK, nil },
		},
	}
}

func panickingSpec() command.Spec {
	return command.Spec{
		Name: "PANIC", Arity: 1, Flags: command.ReadOnly | command.Fast, Categories: []string{"read"},
		Run: func(*command.Call, [][]byte) (command.Reply, error) { panic("as the test wants") },
	}
}

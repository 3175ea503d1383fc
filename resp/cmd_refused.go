package resp

import "github.com/parlorchat/parlor/storage/command"

// refusedCommands are known to Redis and never carried out here, each with the
// reason. What is merely absent gets the text for unknown commands, because
// clients probe on it.
func refusedCommands() []local {
	managed := func(name, since, summary string, arity int) local {
		return refused(name, since, summary, arity,
			command.Errorf("ERR", name+" is not supported: replication is managed by the cluster"))
	}
	noCluster := command.Errorf("ERR", "This instance has cluster support disabled")
	cluster := refused("CLUSTER", "3.0.0", "Refused: this is not a Redis Cluster.", -2, noCluster)
	cluster.spec.Flags, cluster.spec.Categories = 0, []string{"slow"}
	asking := refused("ASKING", "3.0.0", "Refused: this is not a Redis Cluster.", 1, noCluster)
	asking.spec.Flags, asking.spec.Categories = command.Fast, []string{"connection", "fast"}
	// Redis has these in no transaction, where they spoil it at once.
	alone := func(l local) local {
		l.noMulti = true
		return l
	}
	return []local{
		managed("REPLICAOF", "5.0.0", "Refused: replication is managed by the cluster.", 3),
		managed("SLAVEOF", "1.0.0", "Refused: replication is managed by the cluster.", 3),
		alone(managed("SYNC", "1.0.0", "Refused: replication is managed by the cluster.", 1)),
		alone(managed("PSYNC", "2.8.0", "Refused: replication is managed by the cluster.", -3)),
		managed("REPLCONF", "3.0.0", "Refused: replication is managed by the cluster.", -1),
		managed("FAILOVER", "6.2.0", "Refused: replication is managed by the cluster.", -1),
		alone(refused("SAVE", "1.0.0", "Refused: what was acknowledged is on disk.", 1, errOnDisk("SAVE"))),
		refused("BGSAVE", "1.0.0", "Refused: what was acknowledged is on disk.", -1, errOnDisk("BGSAVE")),
		refused("BGREWRITEAOF", "1.0.0", "Refused: what was acknowledged is on disk.", 1, errOnDisk("BGREWRITEAOF")),
		alone(refused("SHUTDOWN", "1.0.0", "Refused: a node is stopped by who started it.", -1,
			command.Errorf("ERR", "SHUTDOWN is not supported: stop the node's process, it hands over and closes cleanly"))),
		refused("MIGRATE", "2.6.0", "Refused.", -6, errNotAllowed("MIGRATE")),
		cluster, asking,
	}
}

func refused(name, since, summary string, arity int, why *command.Error) local {
	return local{
		spec: command.Spec{Name: name, Arity: arity, Flags: command.Admin, Group: "server", Since: since, Summary: summary,
			Categories: []string{"admin", "slow", "dangerous"}},
		run:     func(*session, [][]byte) (command.Reply, error) { return command.Reply{}, why },
		refusal: why,
	}
}

func refusedSub(name string, arity int, why *command.Error) local {
	return refused(name, "1.0.0", "Refused.", arity, why)
}

func errNotAllowed(name string) *command.Error {
	return command.Errorf("ERR", name+" command not allowed")
}

func errOnDisk(name string) *command.Error {
	return command.Errorf("ERR", name+" is not supported: a write is on the disks of most nodes before it is answered")
}

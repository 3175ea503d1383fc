package resp

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
	goredis "github.com/redis/go-redis/v9"
)

// What COMMAND says of a command is what Redis says of it: arity, what kind
// it is, where its keys are and what becomes of them, who may call it.
func TestCommandsAreDescribedAsInRedis(t *testing.T) {
	theirs := describeAll(t, startRedis(t, ""))
	ours := describeAll(t, startServer(t, Config{}, newFakeStore()).Addr())
	for name, own := range ours {
		redis, ok := theirs[name]
		if !ok || slices.Contains(describedOtherwise(), name) || slices.Contains(describedOtherwise(), containerOf(name)) {
			continue
		}
		for i, what := range []string{"arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications"} {
			if containerOf(name) == "xgroup" {
				redis[i] = strings.TrimPrefix(redis[i], "denyoom ") // groups are admitted on a full disk, whatever is done with them
			}
			if what == "arity" && slices.Contains(redistest.Grown, strings.ToUpper(name)) {
				continue
			}
			if redis[i] != own[i] {
				t.Errorf("%s: %s is %s, in Redis %s", name, what, own[i], redis[i])
			}
		}
	}
}

// describedOtherwise: channels are no keys, and what is refused is refused in
// all its forms.
func describedOtherwise() []string {
	return []string{"spublish", "ssubscribe", "sunsubscribe", "migrate", "script", "function"}
}

func containerOf(name string) string {
	top, _, _ := strings.Cut(name, "|")
	return top
}

// describeAll asks for the rows of COMMAND, those of subcommands too.
func describeAll(t *testing.T, addr net.Addr) map[string][8]string {
	t.Helper()
	rdb := goredis.NewClient(&goredis.Options{Network: addr.Network(), Addr: addr.String(), Protocol: 2})
	defer rdb.Close()
	table, err := rdb.Do(t.Context(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][8]string{}
	var visit func(rows []any)
	visit = func(rows []any) {
		for _, r := range rows {
			row := r.([]any)
			flags := row[2].([]any)
			flags = slices.DeleteFunc(slices.Clone(flags), func(f any) bool {
				return slices.Contains([]string{"noscript", "loading", "stale", "skip_monitor", "skip_slowlog", "no_async_loading", "may_replicate",
					"no_mandatory_keys", "allow_busy", "sentinel", "no_multi", "pubsub", "touches_arbitrary_keys"}, f.(string))
			})
			all[row[0].(string)] = [8]string{fmt.Sprint(row[1]), sortedWords(flags), fmt.Sprint(row[3]), fmt.Sprint(row[4]), fmt.Sprint(row[5]),
				fmt.Sprint(row[6]), sortedWords(row[7].([]any)), fmt.Sprint(withoutNotes(row[8].([]any)))}
			visit(row[9].([]any))
		}
	}
	visit(table)
	return all
}

// withoutNotes takes the remarks out of key specifications.
func withoutNotes(specs []any) []any {
	var out []any
	for _, spec := range specs {
		fields := spec.([]any)
		if fields[0] == "notes" {
			fields = fields[2:]
		}
		out = append(out, fields)
	}
	return out
}

func sortedWords(words []any) string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprint(w))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

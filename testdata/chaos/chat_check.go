package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (c *chats) check(ops []op) (string, error) {
	keys := byKey(ops)
	for _, o := range keys[c.site] {
		if o.Do == "look" && o.How == done {
			if err := checkHoldings(o, c.agents, o.Out[len(o.Out)-1].([]any)); err != nil {
				return "", err
			}
		}
	}
	var first []string
	for _, node := range []string{"n1", "n2", "n3"} {
		story, err := c.replay(keys[node])
		if err != nil {
			return "", err
		}
		if first == nil {
			first = story
		}
		// A node that was read later may know of more.
		if n := min(len(first), len(story)); !slices.Equal(first[:n], story[:n]) {
			return "", violation(nil, "%s has other events than the first node", node)
		}
	}
	for _, a := range c.agents {
		if err := checkFollowing(keys[a]); err != nil {
			return "", err
		}
	}
	acked, talks := 0, 0
	for key, of := range keys {
		n, err := checkTalk(key, of)
		if err != nil {
			return "", err
		}
		if n > 0 {
			talks++
		}
		acked += n
	}
	return fmt.Sprintf("%d events, %d chats, %d acknowledged messages", len(first), talks, acked), nil
}

// checkHoldings judges which chats the agents have at one moment.
func checkHoldings(o op, agents []string, sets []any) error {
	whose := map[string]string{}
	for i, a := range agents {
		has := texts(sets[i])
		if len(has) > room {
			return violation([]op{o}, "%s has %d chats, and room for %d", a, len(has), room)
		}
		for _, id := range has {
			if other, both := whose[id]; both {
				return violation([]op{o}, "chat %s has two agents, %s and %s", id, other, a)
			}
			whose[id] = a
		}
	}
	return nil
}

// replay follows the events that a node has from the first one: dense numbers,
// no agent beyond his room, no chat with two. What comes out must be what the
// agents have. It gives the events in short.
func (c *chats) replay(ops []op) (story []string, err error) {
	has, whose, next := map[string]int{}, map[string]string{}, 1
	var last op
	for _, o := range ops {
		if o.Do != "events" || o.How != done {
			continue
		}
		replies := o.Out[len(o.Out)-1].([]any)
		o.Out, last = nil, o
		events, _ := replies[0].([]any)
		for _, e := range events {
			f := fields(e)
			if f["seq"] != strconv.Itoa(next) {
				return nil, violation([]op{o}, "event %s comes where %d should", f["seq"], next)
			}
			next++
			chat, agent := f["chat"], f["agent"]
			line := fmt.Sprintf("%s %s %s %s", f["seq"], f["type"], chat, agent)
			story = append(story, line)
			switch f["type"] {
			case "chat.assigned":
				if before := whose[chat]; before != "" {
					return nil, violation([]op{o}, "chat %s is given to %s while %s has it; its story:%s", chat, agent, before, about(story, chat))
				}
				whose[chat] = agent
				if has[agent]++; has[agent] > room {
					return nil, violation([]op{o}, "%s has %d chats and room for %d; his story:%s", agent, has[agent], room, about(story, agent))
				}
			case "chat.ended", "chat.queued", "chat.transferred", "chat.removed":
				if before := whose[chat]; before != "" {
					has[before]--
					delete(whose, chat)
				}
			}
		}
		if len(events) > 0 {
			continue
		}
		if err := checkHoldings(o, c.agents, replies[1:]); err != nil {
			return nil, err
		}
		for i, a := range c.agents {
			for _, id := range texts(replies[1+i]) {
				if whose[id] != a {
					return nil, violation([]op{o}, "%s has chat %s, the events say %q; its story:%s", a, id, whose[id], about(story, id))
				}
				delete(whose, id)
			}
		}
		for id, a := range whose {
			return nil, violation([]op{o}, "the events give chat %s to %s, who does not have it; its story:%s", id, a, about(story, id))
		}
		return story, nil
	}
	return nil, violation([]op{last}, "the events were not read to their end")
}

// about picks the last events that name something.
func about(story []string, what string) string {
	var lines []string
	for _, s := range story {
		if strings.Contains(s, what) {
			lines = append(lines, "\n      "+s)
		}
	}
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// checkFollowing judges what an agent's sync gave: every event, once, in order.
func checkFollowing(ops []op) error {
	var at uint64
	for i, o := range ops {
		if o.How != done || o.Do != "follow" {
			continue
		}
		at, _ = strconv.ParseUint(o.In, 10, 64)
		for _, seq := range o.Out[1:] {
			at++
			if text(seq) != strconv.FormatUint(at, 10) {
				return violation([]op{o}, "an agent's sync gave event %v where %d should come", seq, at)
			}
		}
		if text(o.Out[0]) != strconv.FormatUint(at, 10) {
			return violation(ops[max(0, i-1):i+1], "an agent's sync ended at %v with event %d", o.Out[0], at)
		}
	}
	return nil
}

// checkTalk judges the messages of one chat, and gives how many were
// acknowledged.
func checkTalk(chat string, ops []op) (acked int, err error) {
	var stored []map[string]string
	var read *op
	for _, o := range ops {
		if o.Do != "messages" || o.How != done {
			continue
		}
		list, _ := o.Out[0].([]any)
		o.Out = nil
		var here []map[string]string
		for i, m := range list {
			f := fields(m)
			if f["seq"] != strconv.Itoa(i+1) {
				return 0, violation([]op{o}, "message %s of chat %s comes where %d should", f["seq"], chat, i+1)
			}
			here = append(here, f)
		}
		if read != nil && len(here) != len(stored) {
			return 0, violation([]op{*read, o}, "chat %s has %d messages on one node and %d on another", chat, len(stored), len(here))
		}
		stored, read = here, &o
	}
	says := func(o op) (string, bool) {
		by, is := strings.CutPrefix(o.Do, "say ")
		return by + " " + o.In, is
	}
	place := map[string]int{}
	for _, m := range stored {
		if m["client_id"] == "" {
			continue
		}
		name := m["from_type"] + " " + m["client_id"]
		if _, twice := place[name]; twice {
			return 0, violation([]op{*read}, "chat %s has the message %s twice", chat, name)
		}
		place[name], _ = strconv.Atoi(m["seq"])
	}
	asked, possible := map[string]op{}, map[string]bool{}
	var answered []op
	for _, o := range ops {
		name, is := says(o)
		if !is {
			continue
		}
		if _, again := asked[name]; !again {
			asked[name] = o
		}
		possible[name] = possible[name] || o.How != refused
		if o.How != done {
			continue
		}
		if read == nil {
			return 0, violation([]op{o}, "a message of chat %s was acknowledged, and no event tells of the chat", chat)
		}
		acked++
		answered = append(answered, o)
		if at := place[name]; text(o.Out[0]) != strconv.Itoa(at) || stored[at-1]["id"] != text(o.Out[1]) {
			return 0, violation([]op{o, *read}, "%s was acknowledged as message %v of chat %s, and is %d (0: missing)", name, o.Out[0], chat, at)
		}
	}
	for name, at := range place {
		first, sent := asked[name]
		if !sent || !possible[name] {
			return 0, violation([]op{first, *read}, "%s is message %d of chat %s, and was refused or never sent", name, at, chat)
		}
		for _, o := range answered {
			if before, _ := says(o); o.Return < first.Call && place[before] > at {
				return 0, violation([]op{o, first}, "%s is message %d of chat %s, before %d, which was acknowledged when it was first sent", name, at, chat, place[before])
			}
		}
	}
	return acked, nil
}

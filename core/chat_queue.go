package core

import "slices"

// maxTold is how many of a queue are told that they have moved up: a long
// queue in which everybody was told of each step would be mostly events.
const maxTold = 20

// noteQueue remembers who stands where at the head of a department's queue,
// before the step changes it for the first time.
func (s *step) noteQueue(department string) error {
	if slices.Contains(s.moved, department) {
		return nil
	}
	s.moved = append(s.moved, department)
	head, err := s.headOfQueue(department)
	for i, chat := range head {
		s.told[chat] = int64(i) + 1
	}
	return err
}

// headOfQueue gives the chats that are next in a department's queue.
func (s *step) headOfQueue(department string) ([]string, error) {
	var chats []string
	err := s.ZEachRank([]byte(keyQueue(department)), 0, maxTold, false, func(chat []byte, _ float64) bool {
		chats = append(chats, string(chat))
		return true
	})
	return chats, err
}

// tellMovedUp tells those at the head of the queues that the step changed who
// stand further to the front than they know.
func (s *step) tellMovedUp() error {
	for _, department := range s.moved {
		head, err := s.headOfQueue(department)
		if err != nil {
			return err
		}
		for i, id := range head {
			n := int64(i) + 1
			if knows, ok := s.told[id]; ok && knows <= n {
				continue
			}
			c, err := s.chat(id)
			if err != nil {
				return err
			}
			if err := s.emitChat(EventChatQueued, c, ChatData{Position: n}); err != nil {
				return err
			}
		}
	}
	return nil
}

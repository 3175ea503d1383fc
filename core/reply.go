package core

import "github.com/parlorchat/parlor/storage/command"

// replyFields is an object whose fields are all computed.
func replyFields(fields ...field) command.Reply {
	var elems []command.Reply
	for _, f := range fields {
		if f.value != "" {
			elems = append(elems, command.BulkString(f.name), command.BulkString(f.value))
		}
	}
	return command.Map(elems...)
}

// replyPage is a page of a list: the cursor to go on from, "0" after the last
// page, and the objects.
func replyPage(next string, objects []command.Reply) command.Reply {
	if next == "" {
		next = "0"
	}
	return command.Array(command.BulkString(next), command.Array(objects...))
}

func replyTexts(texts []string) command.Reply {
	elems := make([]command.Reply, len(texts))
	for i, t := range texts {
		elems[i] = command.BulkString(t)
	}
	return command.Array(elems...)
}

// listOptions reads the options of a command that lists objects of the site
// args[1].
func listOptions(c *command.Call, args []string, k keywords) (o options, limit int, err error) {
	if o, err = k.parse(args[2:]); err != nil {
		return nil, 0, err
	}
	n, err := o.number("COUNT", DefaultPage, 1, MaxPage)
	if err != nil {
		return nil, 0, err
	}
	return o, int(n), knownSite(c, args[1])
}

func knownSite(c *command.Call, id string) error {
	if c.Type([]byte(keySite(id))) == 0 {
		return errNotFound("site", id)
	}
	return nil
}

// afterLimit reads AFTER seq and LIMIT n of a command that reads a stream.
func afterLimit(args []string) (after int64, limit int, err error) {
	o, err := pageWords.parse(args)
	if err != nil {
		return 0, 0, err
	}
	return o.afterLimit()
}

func (o options) afterLimit() (after int64, limit int, err error) {
	if after, err = o.number("AFTER", 0, 0, 1<<53); err != nil {
		return 0, 0, err
	}
	n, err := o.number("LIMIT", DefaultPage, 1, MaxPage)
	return after, int(n), err
}

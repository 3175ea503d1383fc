package core

import (
	"slices"

	"github.com/parlorchat/parlor/storage/command"
)

func siteCommands() []command.Spec {
	site, kind, id := key("site"), text("kind"), text("id")
	name, keep := word("NAME", "name"), numberWord("EVENTS-KEEP", "count")
	return []command.Spec{
		writes("SITE.CREATE", "site", prefixSite, "Makes a site with the default campaign.", -2, runSiteCreate, site, name, keep),
		writes("SITE.UPDATE", "site", prefixSite, "Changes a site.", -2, runSiteUpdate, site, name, keep),
		reads("SITE.GET", "site", prefixSite, "Reads a site.", 2, runSiteGet, site),
		keyless(reads("SITE.LIST", "site", "", "Lists the ids of all sites.", 1, runSiteList)),
		prepared(writes("SITE.SET", "site", prefixSite, "Stores a config object of a site and answers its revision.", -5,
			runSiteSet, site, kind, id, text("json"), numberWord("REV", "revision")), prepareSiteSet),
		writes("SITE.UNSET", "site", prefixSite, "Removes a config object of a site.", -4, runSiteUnset, site, kind, id,
			numberWord("REV", "revision")),
		reads("SITE.CONFIG", "site", prefixSite, "Reads one config object of a site, or all of a kind.", -3, runSiteConfig,
			site, kind, optionally(id)),
	}
}

func departmentCommands() []command.Spec {
	return []command.Spec{
		writes("DEPARTMENT.CREATE", "site", prefixDept, "Makes a department.", -3, runDepartmentCreate,
			key("department"), text("site"), word("NAME", "name")),
		writes("DEPARTMENT.REMOVE", "site", prefixDept, "Removes a department in which no chat waits.", 2, runDepartmentRemove,
			key("department")),
		reads("DEPARTMENT.LIST", "site", prefixSite, "Lists the departments of a site with who is there.", 2, runDepartmentList,
			key("site")),
	}
}

func agentCommands() []command.Spec {
	agent := key("agent")
	properties := []command.Arg{
		word("NAME", "name"), word("PASSWORD", "password"), word("PASSWORD-HASH", "argon2id"),
		optionally(after("ROLE", choice("role", RoleAgent, RoleAdmin))), numberWord("MAX-CHATS", "count"),
		word("DEPARTMENTS", "ids"),
	}
	return []command.Spec{
		prepared(writes("AGENT.CREATE", "agent", prefixAgent, "Makes an agent.", -3, runAgentCreate,
			slices.Concat([]command.Arg{agent, text("site")}, properties)...), preparePassword(3, agentWords)),
		prepared(writes("AGENT.UPDATE", "agent", prefixAgent, "Changes an agent.", -2, runAgentUpdate,
			slices.Concat([]command.Arg{agent}, properties)...), preparePassword(2, agentWords)),
		writes("AGENT.STATUS", "agent", prefixAgent, "Sets whether an agent wants chats; going online takes waiting ones.", 3,
			runAgentStatus, agent, choice("status", AgentOnline, AgentAway, AgentOffline)),
		internal(many(writes("AGENT.SEEN", "agent", prefixAgent, "Renews the presence of agents.", -2, runAgentSeen, repeated(agent)))),
		writes("AGENT.REMOVE", "agent", prefixAgent, "Removes an agent; his chats go back to their queues.", 2, runAgentRemove, agent),
		reads("AGENT.GET", "agent", prefixAgent, "Reads an agent.", 2, runAgentGet, agent),
		reads("AGENT.LIST", "agent", prefixSite, "Lists the agents of a site.", -2, runAgentList,
			slices.Concat([]command.Arg{key("site"), word("DEPARTMENT", "department"), word("STATUS", "status")}, page())...),
		prepared(writes("AGENT.SEND", "agent", prefixAgent, "Sends a message from one agent to another.", -6, runAgentSend,
			agent, after("FROM", text("agent")), after("TEXT", text("text")), word("ID", "uuid"), word("CLIENT-ID", "id")),
			withID(2, agentSendWords)),
		reads("AGENT.MESSAGES", "agent", prefixAgent, "Reads the messages that an agent got from others.", -2, runAgentMessages,
			agent, numberWord("AFTER", "seq"), numberWord("LIMIT", "count")),
	}
}

func visitorCommands() []command.Spec {
	visitor, fields := key("visitor"), visitorFieldArgs()
	return []command.Spec{
		writes("VISITOR.CREATE", "visitor", prefixVisitor, "Makes a visitor and begins his first visit.", -3, runVisitorCreate,
			visitor, text("site"), fields, variables()),
		writes("VISITOR.PAGE", "visitor", prefixVisitor, "Records a page view.", -3, runVisitorPage,
			visitor, text("url"), word("TITLE", "title"), word("REFERRER", "url"), fields),
		writes("VISITOR.UPDATE", "visitor", prefixVisitor, "Changes what is known of a visitor.", -2, runVisitorUpdate,
			visitor, fields, variables()),
		internal(many(writes("VISITOR.SEEN", "visitor", prefixVisitor, "Renews the presence of visitors.", -2, runVisitorSeen, repeated(visitor)))),
		writes("VISITOR.REMOVE", "visitor", prefixVisitor, "Removes a visitor with all his data and chats.", 2, runVisitorRemove, visitor),
		reads("VISITOR.GET", "visitor", prefixVisitor, "Reads a visitor with his variables.", 2, runVisitorGet, visitor),
		reads("VISITOR.LIST", "visitor", prefixSite, "Lists the visitors of a site, last seen first.", -2, runVisitorList,
			slices.Concat([]command.Arg{
				key("site"), word("STATUS", "status"), word("SEGMENT", "segment"), word("CAMPAIGN", "campaign"),
				word("DEPARTMENT", "department"), word("AGENT", "agent"), optionally(after("PAGE", command.Arg{Name: "glob", Type: "pattern"})),
				word("COUNTRY", "country"), word("LANGUAGE", "language"), word("GUID", "id"), word("NAME", "part"),
				word("EMAIL", "email"), variables(),
			}, page())...),
		prepared(writes("VISITOR.INVITE", "visitor", prefixVisitor, "Invites a visitor to chat.", -4, runVisitorInvite,
			visitor, after("TEXT", text("text")), word("AGENT", "agent"), word("RULE", "rule"), word("ID", "uuid")),
			withID(2, inviteWords)),
		writes("VISITOR.ANSWER", "visitor", prefixVisitor, "Notes a visitor's answer to his invitation.", 4, runVisitorAnswer,
			visitor, text("invitation"), choice("answer", InvitationAccepted, InvitationRefused)),
	}
}

func chatCommands() []command.Spec {
	chat, department, agent := key("chat"), word("DEPARTMENT", "department"), word("AGENT", "agent")
	party := choice("party", FromVisitor, FromAgent, FromSystem)
	return []command.Spec{
		writes("CHAT.REQUEST", "chat", prefixVisitor, "Asks for a chat: an agent takes it, it waits, or nobody is there.", -3, runChatRequest,
			key("visitor"), text("chat"), department, agent, numberWord("PRIORITY", "0-4"), word("PRECHAT", "json"),
			word("NAME", "name"), word("EMAIL", "email")),
		writes("CHAT.CREATE", "chat", prefixChat, "Makes a chat as told, also where nobody is online.", -3, runChatCreate,
			chat, text("visitor"), department, agent),
		writes("CHAT.ACCEPT", "chat", prefixChat, "Says that an agent has seen his chat, or takes a waiting one.", 3, runChatAccept,
			chat, text("agent")),
		prepared(writes("CHAT.SEND", "chat", prefixChat, "Sends a message.", -7, runChatSend,
			chat, after("FROM", block("from", party, text("id"))), after("TEXT", text("text")), word("ID", "uuid"),
			word("CLIENT-ID", "id"), word("TYPE", "type")), withID(2, sendWords)),
		writes("CHAT.TRANSFER", "chat", prefixChat, "Gives a chat to a department or to an agent.", -4, runChatTransfer,
			chat, department, agent, word("BY", "agent")),
		writes("CHAT.END", "chat", prefixChat, "Ends a chat.", -4, runChatEnd,
			chat, after("BY", block("by", party, optionally(text("id"))))),
		writes("CHAT.UPDATE", "chat", prefixChat, "Changes a chat.", -2, runChatUpdate,
			chat, numberWord("PRIORITY", "0-4"), word("VISITOR-NAME", "name")),
		writes("CHAT.REMOVE", "chat", prefixChat, "Ends a chat and removes it with its messages.", 2, runChatRemove, chat),
		reads("CHAT.GET", "chat", prefixChat, "Reads a chat.", 2, runChatGet, chat),
		reads("CHAT.LIST", "chat", prefixSite, "Lists the chats of a site, newest first.", -2, runChatList,
			slices.Concat([]command.Arg{
				key("site"), word("STATUS", "status"), agent, department, word("VISITOR", "visitor"),
			}, page())...),
		reads("CHAT.MESSAGES", "chat", prefixChat, "Reads the messages of a chat, oldest first.", -2, runChatMessages,
			chat, numberWord("AFTER", "seq"), numberWord("LIMIT", "count")),
	}
}

func eventCommands() []command.Spec {
	site := key("site")
	return []command.Spec{
		reads("EVENT.READ", "event", prefixSite, "Reads the events of a site, oldest first.", -2, runEventRead,
			site, numberWord("AFTER", "seq"), numberWord("LIMIT", "count"), word("TYPE", "type")),
		writes("EVENT.ACK", "event", prefixSite, "Moves a consumer's durable cursor forward.", 4, runEventAck,
			site, text("consumer"), integer("seq")),
		writes("EVENT.FORGET", "event", prefixSite, "Drops a consumer and its cursor.", 3, runEventForget, site, text("consumer")),
		writes("EVENT.TRIM", "event", prefixSite, "Removes old events that no consumer needs.", 4, runEventTrim,
			site, after("BELOW", integer("seq"))),
	}
}

func systemCommands() []command.Spec {
	commands := []command.Spec{
		writes("SESSION.CREATE", "session", prefixSession, "Signs an agent in.", 4, runSessionCreate,
			key("sha256"), text("agent"), integer("expires-at")),
		writes("SESSION.REMOVE", "session", prefixSession, "Signs an agent out.", 2, runSessionRemove, key("sha256")),
		keyless(writes("SYSTEM.INIT", "system", "", "Forms the group.", 4, runSystemInit,
			text("epoch"), text("token-key"), text("setup-sha256"))),
		keyless(writes("SYSTEM.RESUME", "system", "", "Gives everybody time to show that he is here, after there was no leader.", 1, runSystemResume)),
		keyless(prepared(writes("SYSTEM.SETUP", "system", "", "Uses the setup token up for the first site and admin.", -4, runSystemSetup,
			text("setup-sha256"), text("site"), text("agent"), word("SITE-NAME", "name"), word("NAME", "name"),
			word("PASSWORD-HASH", "argon2id")), preparePassword(4, setupWords))),
		keyless(writes("SYSTEM.TICK", "system", "", "Does what time has come for.", 2, runSystemTick, integer("limit"))),
	}
	for i := range commands {
		commands[i] = internal(commands[i])
	}
	return commands
}

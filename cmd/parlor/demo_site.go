package main

// demoPassword is the password of the demo's agents. The demo listens on
// loopback only.
const demoPassword = "parlor-demo"

// demoSite is the content of the demo: commands as anybody could send them
// with redis-cli. Proposed again at each start, those that would make what
// exists are refused and change nothing.
func demoSite() [][]string {
	return [][]string{
		{"SITE.CREATE", "demo", "NAME", "Parlor demo shop"},
		{"DEPARTMENT.CREATE", "sales", "demo", "NAME", "Sales"},
		{"AGENT.CREATE", "alice", "demo", "NAME", "Alice", "PASSWORD", demoPassword, "ROLE", "admin", "MAX-CHATS", "5", "DEPARTMENTS", "sales"},
		{"AGENT.CREATE", "bob", "demo", "NAME", "Bob", "PASSWORD", demoPassword, "MAX-CHATS", "5", "DEPARTMENTS", "sales"},
		{"SITE.SET", "demo", "campaigns", "default", `{
			"id": "default", "name": "Shop",
			"button": {"text": "Chat with us", "color": "#0b6bcb", "position": "bottom-right"},
			"window": {"title": "Demo shop", "greeting": "Hello! How can we help?", "color": "#0b6bcb"},
			"prechat": {"enabled": true, "fields": [
				{"id": "name", "type": "text", "label": "Your name", "required": true},
				{"id": "email", "type": "email", "label": "E-mail"},
				{"id": "question", "type": "textarea", "label": "What is it about?"}]},
			"offline": {"text": "Nobody is here right now. Leave us a message and we will write back.", "fields": [
				{"id": "name", "type": "text", "label": "Your name", "required": true},
				{"id": "email", "type": "email", "label": "E-mail", "required": true},
				{"id": "question", "type": "textarea", "label": "Message", "required": true}]}}`, "REV", "1"},
		{"SITE.SET", "demo", "campaigns", "vip", `{
			"id": "vip", "name": "Valued customers",
			"button": {"text": "Your personal line", "color": "#7a3fb8", "position": "bottom-right"},
			"window": {"title": "Personal service", "greeting": "Welcome back! We will be right with you.", "color": "#7a3fb8"},
			"prechat": {"enabled": false, "fields": []},
			"offline": {"text": "Leave us a message, you are first in line tomorrow.", "fields": [
				{"id": "email", "type": "email", "label": "E-mail", "required": true},
				{"id": "question", "type": "textarea", "label": "Message", "required": true}]}}`, "REV", "0"},
		{"SITE.SET", "demo", "segments", "valued", `{
			"id": "valued", "name": "Valued customer", "color": "#7a3fb8", "order": 1, "enabled": true,
			"when": {"any": [
				{"field": "var.plan", "op": "isOneOf", "value": ["gold", "platinum"]},
				{"all": [{"field": "visitor.visits", "op": "ge", "value": 10}, {"field": "visitor.chat_count", "op": "ge", "value": 3}]}]}}`, "REV", "0"},
		{"SITE.SET", "demo", "campaign_rules", "valued", `{
			"id": "valued", "name": "Valued customers get their own line", "order": 1, "enabled": true,
			"when": {"field": "segment", "op": "includesAny", "value": ["valued"]}, "campaign": "vip"}`, "REV", "0"},
		{"SITE.SET", "demo", "routes", "everything", `{
			"id": "everything", "name": "Everything to sales", "order": 9, "enabled": true,
			"when": {}, "to": {"department": "sales"}}`, "REV", "0"},
		{"SITE.SET", "demo", "invitations", "pricing", `{
			"id": "pricing", "name": "Ask on the pricing page", "order": 1, "enabled": true,
			"when": {"all": [
				{"field": "page.path", "op": "beginsWith", "value": "/demo/pricing"},
				{"field": "department.sales.online", "op": "is", "value": true}]},
			"text": "Questions about our prices? We are here.", "once": "visit", "delay_s": 3}`, "REV", "0"},
	}
}

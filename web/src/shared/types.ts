// The objects of the HTTP API and the event stream, as far as a browser reads
// them (docs/http.md, docs/events.md). Times are milliseconds since 1970.

export type SenderType = "visitor" | "agent" | "system" | "bot";

export interface Sender {
  type: SenderType;
  id: string;
  name?: string;
}

export interface Message {
  seq: number;
  id: string;
  from: Sender;
  type: string;
  text: string;
  at: number;
  client_id?: string;
}

export interface Chat {
  id: string;
  visitor: string;
  agent?: string;
  agent_name?: string;
  department?: string;
  status: "waiting" | "chatting" | "ended";
  created_at: number;
  assigned_at?: number;
  accepted_at?: number;
  ended_at?: number;
  ended_by?: string;
  last_seq?: number;
  position?: number;
  priority?: number;
  page_url?: string;
  visitor_name?: string;
  prechat?: Record<string, string>;
}

export interface Field {
  id: string;
  type: "text" | "email" | "phone" | "textarea" | "select";
  label: string;
  required?: boolean;
  options?: string[];
}

export interface Article {
  title: string;
  url: string;
}

export interface Campaign {
  id: string;
  rev?: number;
  name?: string;
  language?: string;
  button?: { text?: string; color?: string; position?: string };
  window?: { title?: string; greeting?: string; color?: string };
  prechat?: { enabled?: boolean; fields?: Field[] };
  offline?: { text?: string; fields?: Field[] };
  articles?: Article[];
  texts?: Record<string, string>;
}

export interface Invitation {
  id: string;
  text: string;
  delay_s?: number;
}

export interface Cursor {
  epoch: string;
  seq: number;
}

export interface PageAnswer extends Cursor {
  token: string;
  visitor: { id: string; name?: string; status: string };
  campaign: string;
  segments?: string[];
  invitation: Invitation | null;
  availability: "online" | "offline";
  chat: Chat | null;
  hosts?: string[];
}

/** An event of the stream, or a fleeting frame without seq such as typing. */
export interface Frame {
  seq?: number;
  type: string;
  at?: number;
  visitor?: string;
  chat?: string;
  agent?: string;
  department?: string;
  from?: Sender;
  // What data holds depends on type; readers check what they use.
  data?: any;
}

export interface Envelope {
  epoch?: string;
  seq?: number;
  reset?: boolean;
  frames?: Frame[];
  ack?: { client_id: string; seq: number; id: string; at: number };
  nack?: { client_id: string; code: string; message: string };
}

export interface Sent {
  seq: number;
  id: string;
  at: number;
}

export type AgentStatus = "online" | "away" | "offline";

export interface Agent {
  id: string;
  site: string;
  name?: string;
  role?: "admin" | "agent";
  status: AgentStatus;
  connected?: boolean;
  max_chats?: number;
  departments?: string[];
}

export interface Department {
  id: string;
  name?: string;
  online?: number;
  queue_length?: number;
}

export interface Visitor {
  id: string;
  site: string;
  status: "browsing" | "waiting" | "chatting" | "offline" | "left";
  name?: string;
  email?: string;
  phone?: string;
  campaign?: string;
  segments?: string[];
  page_url?: string;
  page_title?: string;
  referrer?: string;
  landing_url?: string;
  language?: string;
  screen?: string;
  time_zone?: string;
  browser?: string;
  os?: string;
  device?: string;
  last_seen?: number;
  created_at?: number;
  visits?: number;
  page_count?: number;
  chat?: string;
  vars?: Record<string, string>;
  pages?: { at: number; url: string; title?: string; referrer?: string }[];
}

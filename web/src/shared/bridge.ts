import { Campaign, Cursor, Invitation } from "./types";

// What the loader (on the customer's page) and the window (in the iframe) say to
// each other. The loader hands the window one end of a MessageChannel, addressed
// to the origin of the node that served it; the window takes it only from its
// parent and only from the origin that its URL names. From then on both speak
// through the channel alone.

export const hello = "parlor.v1";

export interface Init {
  token: string;
  hosts: string[];
  cursor: Cursor;
  campaign: Campaign;
  visitor: string;
  language: string;
  open: boolean;
}

export type ToWindow =
  | ({ t: "init" } & Init)
  | { t: "visible"; open: boolean }
  | { t: "token"; token: string }
  | { t: "campaign"; campaign: Campaign };

export type ToLoader =
  | { t: "ready" }
  | { t: "close" }
  | { t: "unread"; n: number }
  | { t: "status"; status: string }
  | { t: "invitation"; invitation: Invitation }
  | { t: "cursor"; cursor: Cursor }
  /** The token is not taken any more: get another one. */
  | { t: "renew" };

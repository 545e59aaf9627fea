// Package transport is kombu's Redis, seen from a consumer that must lose nothing.
//
// It keeps kombu's keys (queue lists with priority steps, the hash unacked, the sorted set unacked_index, binding sets), so
// Python workers can share every queue and restore what a Lovage worker leaves behind, and it closes kombu's gaps:
//
//	queue list ──claim.lua──▶ unacked + unacked_index ──settle.lua──▶ (gone, with its effects, in one step)
//	     ▲  ▲                    │            │  ▲
//	     │  └──────give back─────┘            │  └──due.lua── parked (due-time set)
//	     └────── restore.lua ◀── fence.lua ◀──┘ lease lapsed
//
//	Broker    connections and key names; anything that needs no identity: send, declare, recover
//	Session   one identity (worker id) with a lease; claims, waits, settles, parks, gives back
//	Claim     one message that this session holds; its field in unacked is <worker id>/<sequence>
//
// A message is in exactly one of: a queue list, an inbox list, the hash unacked. Every move between them is one Redis command
// or one script. A session that was fenced (its lease lapsed and somebody restored its claims) can settle nothing.
package transport

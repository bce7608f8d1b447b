package slacksim

import (
	"fmt"
	"slices"
)

// A User is one account. The flags are those of users.info
// (testdata/contracts/slack/samples/users.info.json).
type User struct {
	ID              string
	Name            string   // default: the ID in lower case
	RealName        string   // default: Name
	TeamID          string   // default: the workspace's; another one means an external person
	Teams           []string // enterprise_user.teams; empty means no enterprise
	EnterpriseID    string
	TZ              string // default "Etc/UTC"
	IsBot           bool
	Deleted         bool
	Restricted      bool // multi-channel guest
	UltraRestricted bool // single-channel guest
	Stranger        bool // external, shares no channel
	Admin           bool
}

// A Group is a user group.
type Group struct {
	ID       string
	Handle   string // default: the ID in lower case
	Users    []string
	Disabled bool
}

// A Channel is a public or private channel. The bot can post only if Members
// holds its user id.
type Channel struct {
	ID        string
	Name      string // default: the ID in lower case
	Private   bool
	ExtShared bool // shared with another organisation
	Archived  bool
	Members   []string
}

// A room is a channel or a direct message.
type room struct {
	Channel
	im   bool
	with string // the person of a direct message with the bot
}

// AddUser adds an account, or replaces the one with the same ID.
func (w *Workspace) AddUser(u User) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u.Name == "" {
		u.Name = lower(u.ID)
	}
	if u.RealName == "" {
		u.RealName = u.Name
	}
	if u.TeamID == "" {
		u.TeamID = w.cfg.TeamID
	}
	if u.TZ == "" {
		u.TZ = "Etc/UTC"
	}
	w.users[u.ID] = &u
	w.notify()
}

// ChangeUser lets f change an account; it reports whether there is one.
func (w *Workspace) ChangeUser(id string, f func(*User)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.users[id]
	if u == nil {
		return false
	}
	f(u)
	w.notify()
	return true
}

// Users returns every account, the bot's too, ordered by ID.
func (w *Workspace) Users() []User {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]User, 0, len(w.users))
	for _, id := range sortedKeys(w.users) {
		list = append(list, *w.users[id])
	}
	return list
}

// AddGroup adds a user group, or replaces the one with the same ID.
func (w *Workspace) AddGroup(g Group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.Handle == "" {
		g.Handle = lower(g.ID)
	}
	g.Users = slices.Clone(g.Users)
	w.groups = slices.DeleteFunc(w.groups, func(o *Group) bool { return o.ID == g.ID })
	w.groups = append(w.groups, &g)
	w.notify()
}

// AddChannel adds a channel, or replaces the one with the same ID.
func (w *Workspace) AddChannel(c Channel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Name == "" {
		c.Name = lower(c.ID)
	}
	c.Members = slices.Clone(c.Members)
	w.channels[c.ID] = &room{Channel: c}
	w.notify()
}

// Channels returns every channel and direct message, ordered by ID.
func (w *Workspace) Channels() []Channel {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Channel, 0, len(w.channels))
	for _, id := range sortedKeys(w.channels) {
		c := w.channels[id].Channel
		c.Members = slices.Clone(c.Members)
		list = append(list, c)
	}
	return list
}

// DM returns the id of the direct message between the bot and a person; false
// means that none was opened yet.
func (w *Workspace) DM(userID string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.findDM(userID)
	if r == nil {
		return "", false
	}
	return r.ID, true
}

func (w *Workspace) findDM(userID string) *room {
	for _, id := range sortedKeys(w.channels) {
		if r := w.channels[id]; r.im && r.with == userID {
			return r
		}
	}
	return nil
}

// openDM returns the direct message with a person, or Slack's error; w.mu is held.
func (w *Workspace) openDM(userID string) (*room, string) {
	u := w.users[userID]
	switch {
	case u == nil:
		return nil, "user_not_found"
	case u.IsBot:
		return nil, "cannot_dm_bot"
	case u.Deleted:
		return nil, "user_disabled"
	case u.Stranger:
		return nil, "user_not_visible"
	}
	if r := w.findDM(userID); r != nil {
		return r, ""
	}
	r := &room{Channel: Channel{ID: w.id("D"), Members: []string{w.cfg.BotUserID, userID}}, im: true, with: userID}
	r.Name = "directmessage"
	w.channels[r.ID] = r
	w.notify()
	return r, ""
}

// has reports whether a person is in the channel.
func (r *room) has(userID string) bool { return slices.Contains(r.Members, userID) }

// actor returns an account that can act in Slack at all; w.mu is held.
func (w *Workspace) actor(userID string) (*User, error) {
	u := w.users[userID]
	switch {
	case u == nil:
		return nil, fmt.Errorf("no user %s in this workspace", userID)
	case u.Deleted:
		return nil, fmt.Errorf("user %s is deactivated and cannot act", userID)
	case u.IsBot:
		return nil, fmt.Errorf("user %s is a bot and cannot act", userID)
	}
	return u, nil
}

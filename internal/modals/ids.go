package modals

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Callback IDs of views. The suffix is the version of a view's inputs: old
// views stay open on screens, so an input never changes its meaning under the
// same ID.
const (
	PickCallback      = "rotation_pick_v1"
	LoadingCallback   = "rotation_loading_v1"
	PrecheckCallback  = "rotation_precheck_v1"
	GenerateCallback  = "rotation_generate_v1"
	ValidateCallback  = "rotation_validate_v1"
	StoreCallback     = "rotation_store_v1"
	PropagateCallback = "rotation_propagate_v1"
	VerifyCallback    = "rotation_verify_v1"
	RevokedCallback   = "rotation_revoked_v1"
	RecordCallback    = "rotation_record_v1"
	ClosedCallback    = "rotation_closed_v1"
	CancelCallback    = "rotation_cancel_v1"
	AskCallback       = "rotation_ask_v1" // why: its metadata says for which act, see [ParseAsk]
	RefusedCallback   = "rotation_refused_v1"
	ResetCallback     = "rotation_reset_v1" // what was seen, and the tick; see [ParseReset]
	HomeCallback      = "home_v1"           // the Home tab; it cannot be submitted

	SnoozeCallback      = "snooze_ask_v1"        // for how long, and why; see [ParseSnooze]
	ItWasMeCallback     = "it_was_me_ask_v1"     // what was done; see [ParseItWasMe]
	AdoptByHandCallback = "adopt_by_hand_ask_v1" // why; see [ParseAdoptByHand]
)

// Action IDs of buttons. Each button's value is an encoded [Bind].
const (
	OpenAction       = "rotation_open_v1"        // show the view of the present step
	RetryAction      = "rotation_retry_v1"       // do the step again, or one item of it
	CheckAgainAction = "rotation_check_again_v1" // do the failed checks of step 1 again
	RegenerateAction = "rotation_regenerate_v1"  // back to step 2 for another pair
	RedoAction       = "rotation_redo_v1"        // store, propagate, verify and prove once more
	TakeOverAction   = "rotation_take_over_v1"   // become the operator; bound to the rotation
	UseForAction     = "rotation_use_for_v1"     // the item is the key set that the pair belongs to
	CancelAction     = "rotation_ask_cancel_v1"  // show the view that asks why
	UpdatedAction    = "developer_updated_v1"    // a developer has pulled the new pair
)

// Action IDs of buttons in notes that come from what runs on a clock.
const (
	StartRotationAction = "start_rotation_v1" // bound to a key set; the item says why, see [Bind.Due] and [Bind.Leavers]
	SnoozeAction        = "snooze_v1"         // the same; shows the view of [Snooze]
	StartNowAction      = "start_now_v1"      // take a forced rotation over; bound to it
	ItWasMeAction       = "it_was_me_v1"      // the same; shows the view of [ItWasMe]
	AdoptByHandAction   = "adopt_by_hand_v1"  // bound to a key set, the item is the consumer; shows the view of [AdoptByHand]
)

// Action IDs of buttons that show the view of [AskWhy]; the same names the act
// in its submission.
const (
	AcceptAction      = "rotation_accept_v1"       // one failed item counts as done
	StoreAnywayAction = "rotation_store_anyway_v1" // although the account cannot trade
	StoreLaterAction  = "rotation_store_later_v1"  // hand the pair out before it is stored
	AdoptAction       = "rotation_adopt_v1"        // the new pair's account is the right one
)

// Block IDs of inputs, for the problems that a submission is answered with.
// The two inputs of the generate view have one block ID per round: see
// [GenerateBlocks].
const (
	KeySetBlock    = "pick_keyset_v1"
	TriggerBlock   = "precheck_trigger_v1"
	ReasonBlock    = "precheck_reason_v1"
	TicksBlock     = "precheck_ticks_v1"
	TestOrderBlock = "precheck_test_order_v1"
	PassWhyBlock   = "precheck_pass_why_v1" //nolint:gosec // a name, not a credential
	CancelBlock    = "cancel_why_v1"
	WhyBlock       = "ask_why_v1"
	Last4Block     = "ask_last4_v1"

	SnoozeDaysBlock  = "snooze_days_v1"
	SnoozeWhyBlock   = "snooze_why_v1"
	ItWasMeBlock     = "it_was_me_what_v1"
	AdoptByHandBlock = "adopt_by_hand_why_v1"

	ResetKeySetBlock  = "reset_keyset_v1"
	ResetWhyBlock     = "reset_why_v1"
	ResetConfirmBlock = "reset_confirm_v1"

	passBlock   = "precheck_pass_v1_" // followed by the number of the group of ten
	keyIDBlock  = "generate_key_id_v1_"
	secretBlock = "generate_secret_v1_"
)

// Block IDs of rows of buttons; see [page.buttons].
const (
	buttonsBlock  = "buttons_v1"         // the row of a message or view
	forwardBlock  = "buttons_forward_v1" // what leads forward from any trouble, below it
	takeOverBlock = "buttons_take_over_v1"
	itemBlock     = "buttons_item_v1/"   // followed by the step and the item
	openBlock     = "buttons_open_v1/"   // followed by the rotation
	keySetBlock   = "buttons_keyset_v1/" // followed by the key set
)

// itemRow is the block ID of the buttons of one item of a step.
func itemRow(s *rotation.Step, item string) string { return itemBlock + string(s.Name) + "/" + item }

// Labels of the inputs of the generate view and of [AskWhy]. They are fixed: people and
// the scripted operator look for them.
const (
	KeyIDLabel  = "Key ID"
	SecretLabel = "Secret key"
	WhyLabel    = "Why?"
	Last4Label  = "Last four characters"
)

// Texts of the submit buttons.
const (
	GoOnSubmit     = "Go on"
	CheckingSubmit = "Checking…" // step 1 while a check is still running
	SealSubmit     = "Seal"
	CancelSubmit   = "Cancel rotation"
	PickSubmit     = "Start"

	ResetSubmit      = "Start forced rotation"
	ResetWhyLabel    = "What was seen?"
	ResetConfirmText = "Yes, a forced rotation: the old pair is dead or will be"

	SnoozeSubmit      = "Snooze"
	ItWasMeSubmit     = "It was me"
	AdoptByHandSubmit = "Adopt it"
)

// Action IDs of input elements. Those of the generate view are the names of
// the fields: [rotation.FieldKeyID] and [rotation.FieldSecret].
const (
	choiceAction = "choice"
	textAction   = "text"
)

// Values of the test order's radio buttons.
const (
	orderYes = "yes"
	orderNo  = "no"
)

// A Bind is what a button belongs to (R88): a rotation, or a key set, or both. A
// press whose step or round is not the present one is late.
type Bind struct {
	Rotation rotation.ID
	Step     rotation.StepName // "": the rotation as a whole
	Round    int               // of the step
	KeySet   string            // "": the rotation's
	Item     string            // "": the step as a whole
}

// The first part of an encoded Bind says which form it has.
const (
	bindRotation = "1" // rotation, step, round, item
	bindKeySet   = "2" // rotation, step, round, key set, item
)

// What the item of a button that starts a rotation begins with.
const (
	dueItem    = "due/"    // the due date that its reminder named
	leaverItem = "leaver/" // Slack users, separated by spaces
)

// String returns b as the value of a button.
func (b Bind) String() string {
	parts := []string{bindRotation, string(b.Rotation), string(b.Step), strconv.Itoa(b.Round), b.Item}
	if b.KeySet != "" {
		parts[0], parts[4] = bindKeySet, b.KeySet
		parts = append(parts, b.Item)
	}
	return strings.Join(parts, "|")
}

// Due returns the due date that the reminder named in which the button stands;
// "" if it stands elsewhere.
func (b Bind) Due() string {
	due, ok := strings.CutPrefix(b.Item, dueItem)
	if !ok {
		return ""
	}
	return due
}

// Leavers returns the Slack users whose leaving is the reason for the rotation
// that the button starts; nil if there is none.
func (b Bind) Leavers() []string {
	people, ok := strings.CutPrefix(b.Item, leaverItem)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(strings.Fields(people), func(id string) bool { return !slackUser.MatchString(id) })
}

// errBind means that a button's value was not made by this program.
var errBind = errors.New("not a button of ours")

// ParseBind reads the value of a button.
func ParseBind(value string) (Bind, error) {
	form, rest, _ := strings.Cut(value, "|")
	parts := strings.SplitN(rest, "|", 4)
	if form == bindKeySet {
		parts = strings.SplitN(rest, "|", 5)
	}
	switch {
	case form == bindRotation && len(parts) == 4 && parts[0] != "":
		parts = slices.Insert(parts, 3, "")
	case form == bindKeySet && len(parts) == 5 && parts[3] != "":
	default:
		return Bind{}, errBind
	}
	round, err := strconv.Atoi(parts[2])
	if err != nil || round < 0 {
		return Bind{}, fmt.Errorf("%w: round", errBind)
	}
	b := Bind{Rotation: rotation.ID(parts[0]), Step: rotation.StepName(parts[1]), Round: round, KeySet: parts[3], Item: parts[4]}
	if b.Step != "" && !slices.Contains(rotation.StepNames(), b.Step) {
		return Bind{}, fmt.Errorf("%w: step", errBind)
	}
	return b, nil
}

// bindTo binds a button to a step as it stands, or to one item of it.
func bindTo(o rotation.Overview, s *rotation.Step, item string) Bind {
	return Bind{Rotation: o.Rotation.ID, Step: s.Name, Round: s.Round, Item: item}
}

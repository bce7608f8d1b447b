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

	passBlock   = "precheck_pass_v1_" // followed by the number of the group of ten
	keyIDBlock  = "generate_key_id_v1_"
	secretBlock = "generate_secret_v1_"
)

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

// A Bind is what a button belongs to (R88). A press whose step or round is not
// the present one is late.
type Bind struct {
	Rotation rotation.ID
	Step     rotation.StepName // "": the rotation as a whole
	Round    int               // of the step
	Item     string            // "": the step as a whole
}

// bindVersion is the first part of an encoded Bind.
const bindVersion = "1"

// String returns b as the value of a button.
func (b Bind) String() string {
	return strings.Join([]string{bindVersion, string(b.Rotation), string(b.Step), strconv.Itoa(b.Round), b.Item}, "|")
}

// errBind means that a button's value was not made by this program.
var errBind = errors.New("not a button of ours")

// ParseBind reads the value of a button.
func ParseBind(value string) (Bind, error) {
	parts := strings.SplitN(value, "|", 5)
	if len(parts) != 5 || parts[0] != bindVersion || parts[1] == "" {
		return Bind{}, errBind
	}
	round, err := strconv.Atoi(parts[3])
	if err != nil || round < 0 {
		return Bind{}, fmt.Errorf("%w: round", errBind)
	}
	b := Bind{Rotation: rotation.ID(parts[1]), Step: rotation.StepName(parts[2]), Round: round, Item: parts[4]}
	if b.Step != "" && !slices.Contains(rotation.StepNames(), b.Step) {
		return Bind{}, fmt.Errorf("%w: step", errBind)
	}
	return b, nil
}

// bindTo binds a button to a step as it stands, or to one item of it.
func bindTo(o rotation.Overview, s *rotation.Step, item string) Bind {
	return Bind{Rotation: o.Rotation.ID, Step: s.Name, Round: s.Round, Item: item}
}

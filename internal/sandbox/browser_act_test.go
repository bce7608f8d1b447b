package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The sizes at which the page must be usable, in CSS pixels.
const (
	wide, wideHigh     = 1280, 900
	narrow, narrowHigh = 400, 850
)

// slackModal is the window in Slack.
const slackModal = "[data-testid=slack-modal]"

func testID(id string) spot { return spot{CSS: "[data-testid='" + id + "']"} }

func button(text string) spot { return spot{Text: text} }

func inModal(q spot) spot { q.In = slackModal; return q }

// open goes to the page and waits for its first content and the bot. The tab is
// closed before whatever was started earlier.
func (b *tab) open(url string) {
	b.t.Helper()
	b.t.Cleanup(b.end)
	b.do(chromedp.EmulateViewport(wide, wideHigh), chromedp.Navigate(url))
	b.until("the bot is online", `document.querySelector('.online.is-on') && document.querySelector('[data-testid=alpaca-account]')`)
}

// size changes the window.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	b.until("the window has its size", `innerWidth === a[0]`, width)
}

// dark turns what the system prefers.
func (b *tab) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	b.do(func(ctx context.Context, t *chromedp.Target) (void chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return void, err
	})
	b.until("the page has the colours of the system", `matchMedia('(prefers-color-scheme: ' + a[0] + ')').matches`, scheme)
}

// says waits until a text can be read in the elements of a selector.
func (b *tab) says(css, text string) {
	b.t.Helper()
	b.until(css+" says "+text, `[...document.querySelectorAll(a[0])].some((el) => el.innerText.includes(a[1]))`, css, text)
}

// be chooses who sits in front of the page.
func (b *tab) be(name string) {
	b.t.Helper()
	about := b.find(spot{CSS: ".whoami-line"}).Text
	b.choose(testID("slack-person"), name)
	b.until(name+" is there", `document.querySelector('.whoami-line').textContent !== a[0] && document.getElementById('slack-person').selectedOptions[0].text === a[1]`, about, name)
}

// tell types into the message box, and sends it.
func (b *tab) tell(text string) {
	b.t.Helper()
	b.click(testID("slack-composer"))
	b.keys(text + kb.Enter)
}

// answer fills in the questions of step 1.
func (b *tab) answer() {
	b.t.Helper()
	b.find(inModal(button(goOnButton)))
	b.choose(inModal(spot{Label: whyLabel}), "Sched")
	n := eval[int](b, `() => document.querySelectorAll('[data-testid=slack-modal] [data-block=precheck_ticks_v1] input').length`)
	if n == 0 {
		b.t.Fatal("step 1 has no boxes to tick")
	}
	for i := range n {
		b.click(inModal(spot{CSS: "[data-block=precheck_ticks_v1] .bk-option:nth-child(" + string(rune('1'+i)) + ") input"}))
	}
	b.click(inModal(spot{Label: orderChoice}))
}

// begin goes to where the new pair is asked for.
func (b *tab) begin() {
	b.t.Helper()
	b.tell(command + " " + KeySet)
	b.answer()
	b.click(inModal(button(goOnButton)))
	b.find(inModal(spot{Label: secretLabel}))
}

// regenerate presses the button that there is no way back from.
func (b *tab) regenerate() {
	b.t.Helper()
	b.click(testID("alpaca-regenerate"))
	b.click(testID("ask-yes"))
	b.find(testID("alpaca-secret"))
	b.until("the stopwatch runs", `document.querySelector('[data-testid=exposed]').dataset.running === 'true'`)
}

// carry copies one half of the pair and pastes it.
func (b *tab) carry(what, label string) {
	b.t.Helper()
	b.click(testID("alpaca-copy-" + what))
	b.until("it is copied", `document.querySelector(a[0]).textContent === 'Copied'`, testID("alpaca-copy-"+what).CSS)
	want := b.find(testID("alpaca-" + what)).Text
	b.paste(inModal(spot{Label: label}))
	b.poll(label+" holds what was copied", func() bool { return b.find(inModal(spot{Label: label})).Value == want })
}

// seal brings the pair over and submits it.
func (b *tab) seal() {
	b.t.Helper()
	b.carry("key-id", keyIDLabel)
	b.carry("secret", secretLabel)
	b.click(inModal(button(sealButton)))
}

// completed waits for the end of the rotation, everywhere on the page.
func (b *tab) completed() {
	b.t.Helper()
	b.until("all eight steps are done", `document.querySelectorAll('.step[data-state=done]').length === 8`)
	b.until("every place works", `[...document.querySelectorAll('[data-works]')].length > 5 && [...document.querySelectorAll('[data-works]')].every((el) => el.dataset.works === 'yes')`)
	b.until("the stopwatch stands still", `document.querySelector('[data-testid=exposed]').dataset.running === 'false' && parseFloat(document.querySelector('[data-testid=exposed]').innerText) > 0`)
	b.until("the chain is intact", `document.querySelector('[data-testid=audit-chain]').dataset.intact === 'true'`)
	b.says("#message-list", "rotated. The new pair works everywhere")
}

// still brings to its end what moves, as before a picture.
func (b *tab) still() {
	b.t.Helper()
	eval[bool](b, `() => { for (const x of document.getAnimations()) if (x.effect.getTiming().iterations !== Infinity) x.finish(); return true; }`)
}

// picture writes what can be seen to a file, if pictures are wanted.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *imagesDir == "" {
		return
	}
	b.still()
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("picture of %s: %v", name, err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		b.t.Fatalf("picture of %s: %v", name, err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, fewColours(img)); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*imagesDir, strings.ReplaceAll(name, " ", "-")+".png"), small.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// apart is how many of 255 steps two colours differ, all channels together.
func apart(a, b color.Color) (n int) {
	r, g, bl, _ := a.RGBA()
	r2, g2, bl2, _ := b.RGBA()
	for _, d := range []int{int(r) - int(r2), int(g) - int(g2), int(bl) - int(bl2)} {
		n += max(d, -d) >> 8
	}
	return n
}

// fewColours keeps the 256 most frequent colours that can be told apart, and takes
// the nearest of them for each other one: less than half as many bytes.
func fewColours(img image.Image) image.Image {
	count := map[color.Color]int{}
	area := img.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[img.At(x, y)]++
		}
	}
	often := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) })
	palette := color.Palette{}
	for _, c := range often {
		if len(palette) < 256 && (len(palette) == 0 || apart(c, palette.Convert(c)) > 12) {
			palette = append(palette, c)
		}
	}
	index := map[color.Color]uint8{}
	for c := range count {
		index[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(area, palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			out.SetColorIndex(x, y, index[img.At(x, y)])
		}
	}
	return out
}

package cli

import (
	_ "embed" // for the two files below
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raxx-app/keyturn"
	"github.com/raxx-app/keyturn/internal/app"
)

// Names of the files that init writes.
const (
	settingsFile = "bot.yml"
	stateKeyFile = "state.key"
)

// initSettings is what init writes as bot.yml. Every value that only the
// operator knows is a word in angle brackets, which the settings refuse.
//
//go:embed init.yml
var initSettings string

// initGuide is what init prints beside the manifest, DIR being the folder.
//
//go:embed init.txt
var initGuide string

func initCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write settings and a state key to fill in, and say what to click and which permissions to grant",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return failed(initialize(env.Stdout, dir))
		},
	}
}

// initialize writes both files into dir, which it makes if need be, and prints
// what is to be done by hand. A file that is there already stays as it is, so
// doing it again only prints.
func initialize(out io.Writer, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	files := []struct {
		name, what string
		write      func(path string) error
	}{
		{settingsFile, "settings; replace every <…>", func(path string) error { return writeNew(path, []byte(initSettings)) }},
		{stateKeyFile, "the key that seals the state, for you alone; keep a copy apart from the backups", app.WriteStateKey},
	}
	var said strings.Builder
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		switch err := f.write(path); {
		case errors.Is(err, fs.ErrExist):
			fmt.Fprintf(&said, "left as it is   %s\n", path)
		case err != nil:
			return err
		default:
			fmt.Fprintf(&said, "written         %s (%s)\n", path, f.what)
		}
	}
	guide := strings.NewReplacer("@DIR@", filepath.Clean(dir), "@MANIFEST@\n", keyturn.Manifest()).Replace(initGuide)
	_, err := fmt.Fprint(out, said.String(), "\n", guide)
	return err
}

package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.Stdout, versionLine(debug.ReadBuildInfo()))
			return failed(err)
		},
	}
}

// versionLine says what was built: "keyturn v1.2.0, commit 3f1c…, go1.26.0".
func versionLine(info *debug.BuildInfo, ok bool) string {
	version, commit, changed := "(devel)", "unknown", ""
	if ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && s.Value != "":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprintf("keyturn %s, commit %s%s, %s", version, commit, changed, runtime.Version())
}

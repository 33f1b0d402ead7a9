package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"
	"github.com/spf13/pflag"
)

// alertVariable is the environment's variable that the command of an alert reads, and
// the beginning of its others.
const alertVariable = environmentPrefix + "ALERT"

// alertOptions say who is told what became of a night.
type alertOptions struct {
	command string
	webhook string
	on      string
}

func (o *alertOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, outputHeading)()
	f.StringVar(&o.command, "notify-command", "", "shell `COMMAND` that is told, the result as JSON on its standard input, its text in PICTOSYNC_ALERT_TEXT")
	f.StringVar(&o.webhook, "webhook", "", "`URL` that is told: the result as JSON by POST, its text under \"text\"")
	f.StringVar(&o.on, "notify-on", "failure", "when they are told: failure (and when all is well again) or always")
}

func (o *alertOptions) check() error {
	if o.on != "failure" && o.on != "always" {
		return usagef("read --notify-on: %q must be one of: failure, always", o.on)
	}
	if o.webhook == "" {
		return nil
	}
	u, err := url.Parse(o.webhook)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return usagef("read --webhook: it must be as https://host/path")
	}
	return nil
}

// What an alert says.
const (
	alertOK        = "ok"
	alertFailed    = "failed"
	alertRecovered = "recovered"
)

// alert is what people are told of a night.
type alert struct {
	Text  string `json:"text"`
	Alert string `json:"alert"` // ok, failed or recovered
	Host  string `json:"host"`
	night
}

// Bounds on those who are told: they must not hold a night up.
const (
	commandTimeout = time.Minute
	webhookTimeout = 10 * time.Second
	webhookTries   = 4
)

// tell tells people of a night. What a user stopped is known to the user, and a
// time limit is not a failure.
func (o *alertOptions) tell(parent context.Context, n *night, recovered bool) error {
	a := newAlert(n, recovered)
	if o.on == "failure" && a.Alert == alertOK || n.ExitCode == exitInterrupted || o.command == "" && o.webhook == "" {
		return nil
	}
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("tell what became of the run: %w", err)
	}
	var failed []error
	if o.command != "" {
		failed = append(failed, o.runCommand(parent, a, body))
	}
	if o.webhook != "" {
		failed = append(failed, o.post(parent, body))
	}
	return errors.Join(failed...)
}

func newAlert(n *night, recovered bool) alert {
	a := alert{Alert: alertOK, night: *n}
	a.Host, _ = os.Hostname()
	var said []string
	for _, j := range n.Jobs {
		if j.Error != "" {
			said = append(said, j.Name+": "+j.Error)
		} else if j.ExitCode != exitDone {
			said = append(said, fmt.Sprintf("%s: %s", j.Name, j.cameTo()))
		}
	}
	if len(said) == 0 && n.Error != "" {
		said = append(said, n.Error)
	}
	switch {
	case n.ExitCode == exitTimeLimit:
		a.Text = "stopped at the time limit, the next run goes on"
	case n.ExitCode != exitDone:
		a.Alert, a.Text = alertFailed, "failed"
	case recovered:
		a.Alert, a.Text = alertRecovered, "has recovered"
	default:
		a.Text = fmt.Sprintf("%s done", plural(len(n.Jobs), "job"))
	}
	a.Text = fmt.Sprintf("pictosync run %s on %s: %s", n.Config, a.Host, a.Text)
	if len(said) > 0 {
		a.Text += "\n" + strings.Join(said, "\n")
	}
	return a
}

func (o *alertOptions) runCommand(parent context.Context, a alert, body []byte) error {
	ctx, cancel := context.WithTimeout(parent, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", o.command)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(ctx, "cmd", "/C", o.command)
	}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PICTOGRAPH_API_KEY=") { // it is nobody else's
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, alertVariable+"="+a.Alert, alertVariable+"_TEXT="+environmentText(a.Text), fmt.Sprintf("%s_STATUS=%d", alertVariable, a.ExitCode))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), os.Stderr, os.Stderr
	cmd.WaitDelay = time.Second
	stopTogether(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tell what became of the run by --notify-command: %w", err)
	}
	return nil
}

// environmentText is a text as a variable of the environment may hold it: without zero
// bytes, and no longer than what the system takes with all the others. The whole is on the
// command's standard input.
func environmentText(s string) string {
	const most = 16 << 10 // bytes
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (o *alertOptions) post(parent context.Context, body []byte) error {
	client := &http.Client{Timeout: webhookTimeout}
	defer client.CloseIdleConnections()
	backoff := retry.WithMaxRetries(webhookTries-1, retry.NewExponential(alertBackoff))
	err := retry.Do(parent, backoff, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.webhook, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("User-Agent", "pictosync/"+version())
		answer, err := client.Do(request)
		if err != nil {
			return retry.RetryableError(err)
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
		switch {
		case answer.StatusCode < 300:
			return nil
		case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= 500:
			return retry.RetryableError(fmt.Errorf("it answered %s", answer.Status))
		}
		return fmt.Errorf("it answered %s", answer.Status)
	})
	if err == nil {
		return nil
	}
	// The address of a webhook is a secret: errors of the network name it.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	u, _ := url.Parse(o.webhook)
	return fmt.Errorf("tell what became of the run by the webhook at %s: %w", u.Host, err)
}

// alertBackoff is the wait before the second try; tests do not want to wait.
var alertBackoff = time.Second

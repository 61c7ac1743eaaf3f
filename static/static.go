// Package static holds the files that browsers load: the client curfew.js and the modules that it
// imports, the scripts of the sign-in page and of the console, and the style sheets.
//
// The program prepares them when a browser asks for the first, so that nothing has to be built
// beforehand. Each script is joined with what it imports statically, so that it comes with one
// request; what it imports with import() stays a file of its own. Comments, white space and long
// names are left out, and all of it is compressed. A source map leads a browser's tools back to the
// files as they stand here.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"

	"curfew/locale"
)

//go:embed *.js *.css pages/*.css favicon.svg
var sources embed.FS

// entry is the script that pages include. It alone knows the version of the others.
const entry = "curfew.js"

// versionMark stands in the entry's source for the version of all files.
const versionMark = "__VERSION__"

var (
	scripts = []string{
		entry,
		"warning.js",
		"presence.js",
		"links.js",
		"frames.js",
		"leaving.js",
		"drafts.js",
		"console.js",
		"progress.js",
		"logouts.js",
		"audit.js",
		"session.js",
		"login.js",
	}
	classic = []string{"xhtml.js"} // scripts that are no modules: whatever they declare would be global
	sheets  = []string{"curfew.css", ownPages}
	images  = []string{"favicon.svg"}
)

// ownPages is the style sheet of Curfew's own pages. Its components are a file each, in pages/.
const ownPages = "pages.css"

// components are those of [ownPages], in the order in which they stand there: of two rules that
// weigh the same the later one holds.
var components = strings.Fields(`
	tokens elements layout buttons fields bar actions card notes toast empty said table menu badge
	dialog pager facts preferences console plot sessions trail session account logouts`)

// Words are the beginnings of the keys of what the browser client says: see [locale.Locale.Part].
var Words = []string{"page.", "outcome.", "connection.", "draft.", "presence.", "due.", "reason.", "time.", "device."}

// File is one file as it is served. Nobody may change it.
type File struct {
	Type string // its media type
	Body []byte
	Gzip []byte // Body, compressed
	Hash string // of Body

	SourceMap string // the name of its source map, which lies beside it; empty for none
}

// Files are all files, by name.
type Files struct {
	// Version changes with any of them. curfew.js imports its modules below it, so that old and new
	// never mix.
	Version string

	byName map[string]File
}

// Load prepares the files, in some 60 ms, when it is first called in a program. The sources are
// embedded, so that an error is a fault of this package, which its tests find: Load panics.
var Load = sync.OnceValue(func() *Files {
	files, err := prepare()
	if err != nil {
		panic(err)
	}
	return files
})

// Get returns the file that is served below /static/ under that name.
func (f *Files) Get(name string) (File, bool) {
	file, ok := f.byName[name]
	return file, ok
}

// Module returns the file that is served below /static/VERSION/ under that name: any but the entry,
// which imports its modules relative to its own address. A version that is not that of these files
// has none.
func (f *Files) Module(version, name string) (File, bool) {
	if version != f.Version || name == entry {
		return File{}, false
	}
	return f.Get(name)
}

// Names returns the names of all files, in order.
func (f *Files) Names() []string { return slices.Sorted(maps.Keys(f.byName)) }

func prepare() (*Files, error) {
	bodies := make(map[string][]byte)
	for _, name := range images {
		body, err := sources.ReadFile(name)
		if err != nil {
			return nil, err
		}
		bodies[name] = body
	}
	for _, name := range slices.Concat(sheets, classic) {
		body, err := minify(name)
		if err != nil {
			return nil, err
		}
		bodies[name] = body
	}
	joined, err := join(scripts)
	if err != nil {
		return nil, err
	}
	maps.Copy(bodies, joined)

	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		fmt.Fprintf(sum, "%s %d\n", name, len(bodies[name]))
		sum.Write(bodies[name])
	}
	files := &Files{Version: hex.EncodeToString(sum.Sum(nil)[:6]), byName: make(map[string]File)}
	bodies[entry] = bytes.ReplaceAll(bodies[entry], []byte(versionMark), []byte(files.Version))
	for name, body := range bodies {
		f, err := newFile(name, body)
		if err != nil {
			return nil, err
		}
		if _, ok := bodies[name+".map"]; ok {
			f.SourceMap = name + ".map"
		}
		files.byName[name] = f
	}
	return files, nil
}

// ownNames are names by which modules know each other's properties, the most frequent first. They
// are written short as well, the same in all files: no browser and no server knows them. Elements,
// events and messages have none of these, and none is looked up by a string.
var ownNames = strings.Fields(`
	warnedOf warn connection remaining isOpen hide sync renew down ask act heartbeat isDown stay
	report check show recall tell covers post number hear load end base signOut heard again
	applyStatus arriving connect doubt drop expectAnswer forget greeted hasSocket heed isDoubted
	leave isLeaving leaves know isOther isOver blank resume look waitFor mend mendAll mono own
	part partFor past pin release rememberFocus sinceAsked stays styles wake wall warningChanged
	wasLost deadlines`)

// shortNames returns the short name of each of ownNames.
func shortNames() map[string]any {
	const letters = "nietshoraucdlpfmwgbkvqjzTESNIROALCDUPMHGFVBWKQJZ_"
	short := make(map[string]any)
	for i, name := range ownNames {
		short[name] = letters[i%len(letters):][:1] + strings.Repeat("_", i/len(letters))
	}
	return short
}

// join joins each script with what it imports statically, and writes it short. The result has a
// source map for each, too.
func join(scripts []string) (map[string][]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       scripts,
		Inject:            []string{"originals.js"},
		Bundle:            true,
		Outdir:            "/",
		Format:            api.FormatESModule,
		Target:            api.ESNext,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MangleProps:       `^(` + strings.Join(ownNames, `|`) + `)$`,
		MangleCache:       shortNames(), // else each file would have names of its own
		Sourcemap:         api.SourceMapExternal,
		Plugins:           []api.Plugin{{Name: "embedded", Setup: readEmbedded}},
	})
	if err := firstError(result.Errors); err != nil {
		return nil, err
	}
	bodies := make(map[string][]byte)
	for _, f := range result.OutputFiles {
		bodies[path.Base(strings.ReplaceAll(f.Path, `\`, "/"))] = f.Contents
	}
	return bodies, nil
}

// readEmbedded has esbuild read the embedded files, and no other. A style sheet is text to the
// module that imports it.
func readEmbedded(build api.PluginBuild) {
	build.OnResolve(api.OnResolveOptions{Filter: `.*`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
		return api.OnResolveResult{Path: path.Clean(a.Path), Namespace: "embedded"}, nil
	})
	build.OnLoad(api.OnLoadOptions{Filter: `.*`}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		read, loader := sources.ReadFile, api.LoaderJS
		switch path.Ext(a.Path) {
		case ".css":
			read, loader = minify, api.LoaderText
		case ".json":
			read, loader = english, api.LoaderJSON
		}
		body, err := read(a.Path)
		text := strings.TrimSpace(string(body))
		return api.OnLoadResult{Contents: &text, Loader: loader}, err
	})
}

// english are the words that the browser client has without asking.
func english(string) ([]byte, error) { return locale.English().Part(Words...), nil }

// oldest are the browsers whose style sheets have to hold: they know no rules within rules yet.
var oldest = []api.Engine{
	{Name: api.EngineChrome, Version: "109"},
	{Name: api.EngineFirefox, Version: "115"},
	{Name: api.EngineSafari, Version: "16"},
}

// source is a style sheet or a script as it stands here.
func source(name string) ([]byte, error) {
	if name != ownPages {
		return sources.ReadFile(name)
	}
	var sheet []byte
	for _, component := range components {
		body, err := sources.ReadFile("pages/" + component + ".css")
		if err != nil {
			return nil, err
		}
		sheet = append(sheet, body...)
	}
	return sheet, nil
}

// minify writes a style sheet or a script short, as it stands.
func minify(name string) ([]byte, error) {
	body, err := source(name)
	if err != nil {
		return nil, err
	}
	loader := api.LoaderJS
	if path.Ext(name) == ".css" {
		loader = api.LoaderCSS
	}
	result := api.Transform(string(body), api.TransformOptions{
		Sourcefile:       name,
		Loader:           loader,
		Engines:          oldest,
		MinifyWhitespace: true,
	})
	return result.Code, firstError(result.Errors)
}

func firstError(messages []api.Message) error {
	if len(messages) == 0 {
		return nil
	}
	m := messages[0]
	if m.Location == nil {
		return fmt.Errorf("prepare static files: %s", m.Text)
	}
	return fmt.Errorf("prepare static files: %s:%d: %s", m.Location.File, m.Location.Line, m.Text)
}

// types are the media types by extension. The list of the system differs from machine to machine.
var types = map[string]string{
	".js":  "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
	".map": "application/json",
}

func newFile(name string, body []byte) (File, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return File{}, err
	}
	if _, err := w.Write(body); err != nil {
		return File{}, err
	}
	if err := w.Close(); err != nil {
		return File{}, err
	}
	sum := sha256.Sum256(body)
	return File{
		Type: types[path.Ext(name)],
		Body: body,
		Gzip: b.Bytes(),
		Hash: hex.EncodeToString(sum[:12]),
	}, nil
}

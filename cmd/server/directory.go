package main

import (
	"curfew/directory"
	"curfew/directory/demo"
)

// openDirectory opens the directory of the settings, or the one for demonstrations where they name
// none. stop ends the latter.
func openDirectory(cfg *config) (people *directory.Directory, stop func(), err error) {
	settings, stop := cfg.directory.ldap, func() {}
	if cfg.demo() {
		server, err := demo.Start()
		if err != nil {
			return nil, nil, err
		}
		stop = server.Stop
		settings = server.Config()
		settings.Required = cfg.directory.ldap.Required
	}
	if people, err = directory.New(settings); err != nil {
		stop()
		return nil, nil, err
	}
	return people, stop, nil
}

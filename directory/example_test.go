package directory_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"curfew/directory"
	"curfew/directory/demo"
)

func ExampleNew() {
	server, err := demo.Start() // in earnest, the directory of an organisation
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	config := server.Config()
	config.Required = []string{"admins"} // who may sign in

	d, err := directory.New(config)
	if err != nil {
		log.Fatal(err)
	}
	for _, user := range demo.Users() {
		entry, err := d.Authenticate(context.Background(), user.Name, user.Password, nil)
		switch {
		case errors.Is(err, directory.ErrNotAllowed):
			fmt.Println(user.Name, "may not sign in")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(entry.User, "may, as a member of", entry.Groups)
		}
	}
	// Output:
	// ada may, as a member of [admins staff]
	// grace may not sign in
	// linus may not sign in
}

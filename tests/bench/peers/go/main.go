// The notes service as the documentation of net/http and go-sql-driver would have it: a pool, prepared statements.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
)

const timeLayout = "2006-01-02T15:04:05.000000Z"

type note struct {
	ID        uint64 `json:"id"`
	Text      string `json:"text"`
	CreatedAt string `json:"created_at"`
}

type page struct {
	Notes []note  `json:"notes"`
	Next  *uint64 `json:"next"`
}

type server struct {
	list, insert *sql.Stmt
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "detail": detail})
}

func (s *server) read(ctx context.Context, limit int, before int64) (page, error) {
	p := page{Notes: make([]note, 0, limit+1)}
	rows, err := s.list.QueryContext(ctx, before, limit+1)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	for rows.Next() {
		var n note
		var created time.Time
		if err := rows.Scan(&n.ID, &n.Text, &created); err != nil {
			return p, err
		}
		n.CreatedAt = created.UTC().Format(timeLayout)
		p.Notes = append(p.Notes, n)
	}
	if len(p.Notes) > limit {
		p.Notes = p.Notes[:limit]
		p.Next = &p.Notes[limit-1].ID
	}
	return p, rows.Err()
}

func (s *server) onList(w http.ResponseWriter, r *http.Request) {
	limit, before := 20, int64(1<<63-1)
	var err error
	q := r.URL.Query()
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 100 {
			fail(w, 400, "limit is a number from 1 to 100")
			return
		}
	}
	if text := q.Get("before"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil {
			fail(w, 400, "before is a note's id")
			return
		}
	}
	p, err := s.read(r.Context(), limit, before)
	if err != nil {
		fail(w, 503, "the database cannot be used")
		return
	}
	reply(w, 200, p)
}

func (s *server) onAdd(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Text string `json:"text"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		fail(w, 400, "the body must be {\"text\": ...}")
		return
	}
	if count := utf8.RuneCountInString(in.Text); count < 1 || count > 4096 {
		fail(w, 400, "a text has 1 to 4096 characters")
		return
	}
	n := note{Text: in.Text}
	var created time.Time
	if err := s.insert.QueryRowContext(r.Context(), in.Text).Scan(&n.ID, &created); err != nil {
		fail(w, 503, "the database cannot be used")
		return
	}
	n.CreatedAt = created.UTC().Format(timeLayout)
	w.Header().Set("Location", "/api/v1/notes/"+strconv.FormatUint(n.ID, 10))
	reply(w, 201, n)
}

func main() {
	config := mysql.NewConfig()
	config.Net, config.Addr = "unix", os.Getenv("DB_SOCKET")
	config.User, config.Passwd, config.DBName = os.Getenv("DB_USER"), os.Getenv("DB_PASSWORD"), os.Getenv("DB_NAME")
	config.ParseTime = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	// As the driver's README asks for: as many idle as open, and a life that ends.
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxLifetime(3 * time.Minute)

	s := &server{}
	if s.list, err = db.Prepare("SELECT id, text, created_at FROM notes WHERE id < ? ORDER BY id DESC LIMIT ?"); err != nil {
		log.Fatal(err)
	}
	if s.insert, err = db.Prepare("INSERT INTO notes (text) VALUES (?) RETURNING id, created_at"); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/notes", s.onList)
	mux.HandleFunc("POST /api/v1/notes", s.onAdd)
	h := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	if cert := os.Getenv("TLS_CERT"); cert != "" {
		log.Fatal(h.ListenAndServeTLS(cert, os.Getenv("TLS_KEY")))
	}
	log.Fatal(h.ListenAndServe())
}

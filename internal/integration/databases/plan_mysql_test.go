package databases_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// every statement finds its rows by an index. MariaDB plans each statement for its current
// values.
func TestMySQLPlans(t *testing.T) {
	t.Parallel()
	if version := testkit.QueryValue[string](t, testkit.OpenDB(t, "mysql", testkit.UseMySQL(t)), "SELECT version()"); !strings.Contains(version, "MariaDB") {
		t.Skipf("MySQL %s has another format of plans", version)
	}
	db, statements := planned(t, sqlstore.MySQL, mysqlConnector(t, mysqlDSN(t, "")))
	for owner, sent := range statements {
		t.Run(owner, func(t *testing.T) { report(t, explainMySQL(t, db, sent)) })
	}
	for _, c := range mysqlIndexes {
		t.Run("without "+c.index, func(t *testing.T) {
			run(t, db, c.drop)
			missed(t, c.index, explainMySQL(t, db, statements[smallOwner]))
		})
	}
}

// The order matters, since the last one creates the table again. A statement may
// name an index, so each index is replaced by another of the same name.
var mysqlIndexes = []struct{ index, drop string }{
	{listIndex, "ALTER TABLE keyhatch_keys DROP INDEX keyhatch_keys_list, ADD INDEX keyhatch_keys_list (owner, id)"},
	{idIndex, "ALTER TABLE keyhatch_keys DROP INDEX id, ADD INDEX id (name(10))"},
	{liveIndex, "ALTER TABLE keyhatch_keys DROP INDEX keyhatch_keys_live, ADD INDEX keyhatch_keys_live (owner, expires_at)"},
	{replacedIndex, "ALTER TABLE keyhatch_keys DROP INDEX keyhatch_keys_replaced, ADD INDEX keyhatch_keys_replaced (owner, replaced_by)"},
	{currentIndex, "ALTER TABLE keyhatch_keys DROP INDEX keyhatch_keys_current, ADD INDEX keyhatch_keys_current (owner, created_at)"},
	{primary, "ALTER TABLE keyhatch_keys DROP PRIMARY KEY, ADD PRIMARY KEY (id)"},
}

func explainMySQL(t testing.TB, c conn, statements []sent) (all []explained) {
	t.Helper()
	for _, s := range statements {
		text := s.text
		for _, literal := range s.literals("x'%x'") {
			text = strings.Replace(text, "?", literal, 1)
		}
		e := explained{sent: s, plan: rowsOf(t, c, "EXPLAIN FORMAT=JSON "+text)}
		e.judgeMySQL(t)
		all = append(all, e)
	}
	return all
}

// A mysqlTable is the part of a plan for one table.
type mysqlTable struct {
	Name   string   `json:"table_name"`
	Access string   `json:"access_type"`
	Key    string   `json:"key"`
	Parts  []string `json:"used_key_parts"`
	Alone  bool     `json:"using_index"` // the index contains all requested columns
}

// mysqlTables returns all tables of a plan, in order, at any depth.
func mysqlTables(t testing.TB, plan string) (tables []mysqlTable) {
	t.Helper()
	for _, at := range regexp.MustCompile(`"table": `).FindAllStringIndex(plan, -1) {
		var table mysqlTable
		if err := json.NewDecoder(strings.NewReader(plan[at[1]:])).Decode(&table); err != nil {
			t.Fatalf("%v in the plan\n%s", err, plan)
		}
		tables = append(tables, table)
	}
	return tables
}

func (e *explained) judgeMySQL(t testing.TB) {
	t.Helper()
	tables := mysqlTables(t, e.plan)
	for _, table := range tables {
		// A batch of uses is a table too, and so is the result of the count.
		ours := table.Name == "keyhatch_keys" || table.Name == "k"
		e.complain(ours && (table.Access == "ALL" || table.Access == "index"), wholeTable)
		if e.isCount() {
			e.complain(ours && !table.replaced() && !table.counts(), notBy(liveIndex))
			e.complain(table.Key == replacedIndex && !table.replaced(), notBy(replacedIndex))
			e.complain(table.Name == "s" && table.Key != "id", wholeTable) // a successor
		}
		if table.Name == "k" && (e.isCurrent() || e.isRecent() || e.isEnded()) {
			e.complain(table.Key != "id" || table.Access != "eq_ref", wholeTable) // for the IDs of a page
			continue
		}
		e.complain(ours && e.isCurrent() && !table.current(), notBy(currentIndex))
		e.complain(ours && e.isList() && table.Key != listIndex, notBy(listIndex))
		e.complain(ours && e.isNext() && !slices.Contains(table.Parts, "created_at"), notBy(listIndex))
		e.complain(ours && (e.isEnded() || e.isRecent()) && !table.Alone, notBy(listIndex))
		e.complain(ours && e.isLive() && (table.Key != liveIndex || !slices.Contains(table.Parts, "revoked_at")), notBy(liveIndex))
	}
	switch sorted := func(plan string) bool {
		return strings.Contains(plan, "filesort") || strings.Contains(plan, "temporary_table")
	}; {
	case e.isEnded(): // only the rows of the page are sorted, not the whole list
		_, list, found := strings.Cut(e.plan, "materialized")
		e.complain(!found || sorted(list), "the whole list is sorted")
	case e.isRecent(): // only the current ones among the latest keys are sorted, not the whole list
		_, list, found := strings.Cut(e.plan, `"<derived4>"`)
		e.complain(!found || sorted(list), "the whole list is sorted")
	case e.isCurrent(): // the keys with an expiry are sorted
		e.complain(strings.Count(e.plan, "\"filesort\"") > 1, "keys that never expire are sorted")
	default:
		e.complain(sorted(e.plan), "rows are sorted")
	}
	if e.isTouch() {
		fromUses := len(tables) == 2 && tables[0].Name == "u" && tables[1].Key == "PRIMARY" && tables[1].Access == "eq_ref"
		e.complain(!fromUses, notBy(primary))
	}
}

func (m mysqlTable) counts() bool {
	return m.Key == liveIndex && m.Alone && slices.Equal(m.Parts, []string{"owner", "revoked_at", "replaced_by", "expires_at"})
}

// current reports whether the table is read by the index of current keys.
func (m mysqlTable) current() bool {
	return m.Key == currentIndex && m.Alone && len(m.Parts) >= 3 && slices.Equal(m.Parts[:3], []string{"owner", "revoked_at", "expires_at"})
}

// replaced reports whether the keys in their grace period are found without reading expired ones.
func (m mysqlTable) replaced() bool {
	return m.Key == replacedIndex && m.Alone && len(m.Parts) >= 3 && slices.Equal(m.Parts[:3], []string{"owner", "revoked_at", "expires_at"})
}

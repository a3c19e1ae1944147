/* The rule of a cell in words: what a charter says of it, and where. */
#include "node/desk/explain.h"

struct explain_rule explain_rule_of(const struct charter *charter, const struct table_schema *t,
                                    const struct table_rules *rules, uint32_t cell)
{
    const struct charter_table *table = charter_table_named(charter, t->name);
    if (cell == COLUMN_EXISTS || cell == COLUMN_BIRTH) {
        bool exists = cell == COLUMN_EXISTS;
        uint64_t line = !table ? 0 : exists ? table->delete_line : table->birth_line;
        return (struct explain_rule){.policy = exists ? delete_policy_name(rules->delete_policy)
                                                      : birth_policy_name(rules->birth_policy),
                                     .from = line == 0 ? "default" : "table",
                                     .line = line};
    }
    const struct charter_rule none = {.from = "default"};
    const struct charter_rule *said = table ? charter_rule_of(table, t->column[cell]) : &none;
    enum policy policy = policy_of(rules, cell);
    struct explain_rule r = {.policy = policy_name(policy),
                             .from = said->from ? said->from : "table",
                             .line = said->line};
    if (policy == POLICY_REVIEW)
        r.fallback = policy_name(policy_shown(rules, cell));
    if (rules->rank && policy_shown(rules, cell) == POLICY_RANK) {
        r.n_rank = rules->rank[cell].n;
        r.rank = rules->rank[cell].text;
    }
    return r;
}

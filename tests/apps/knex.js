// alterTable(...).alter() and rows in one transaction of knex, over better-sqlite3.
const [, , database, command, value, length] = process.argv;
const knex = require('knex')({ client: 'better-sqlite3', connection: { filename: database }, useNullAsDefault: true });

async function main() {
  if (command === 'create') {
    await knex.schema.createTable('household', (t) => {
      t.string('id', 36).primary().notNullable();
      t.string('name', 100).notNullable();
      t.string('village');
      t.integer('n').notNullable().defaultTo(0);
    });
  } else {
    await knex.transaction(async (trx) => {
      await trx.schema.alterTable('household', (t) => {
        const name = t.string('name', Number(length));
        (length % 2 ? name.nullable() : name.notNullable()).alter();
      });
      await trx('household').where({ id: '1' }).update({ name: value });
      await trx('household').insert({ id: `m${value}`, name: `made by ${value}` });
    });
  }
  await knex.destroy();
}
main().catch((e) => { console.error(e); process.exit(1); });

// changeColumn of Sequelize: no transaction around it, and the table is dropped before it is made again.
const [, , database, command, value, length] = process.argv;
const { Sequelize, DataTypes } = require('sequelize');
const sequelize = new Sequelize({ dialect: 'sqlite', storage: database, logging: false });
const Household = sequelize.define('household', {
  id: { type: DataTypes.STRING(36), primaryKey: true, allowNull: false },
  name: { type: DataTypes.STRING(100), allowNull: false },
  village: DataTypes.STRING,
  n: { type: DataTypes.INTEGER, allowNull: false, defaultValue: 0 },
}, { freezeTableName: true, timestamps: false });

async function main() {
  if (command === 'create') {
    await Household.sync();
  } else {
    await sequelize.getQueryInterface().changeColumn('household', 'name',
      { type: DataTypes.STRING(Number(length)), allowNull: length % 2 === 1 });
    await Household.update({ name: value }, { where: { id: '1' } });
    await Household.create({ id: `m${value}`, name: `made by ${value}` });
  }
  await sequelize.close();
}
main().catch((e) => { console.error(e); process.exit(1); });

# change_column and rows in one migration of Active Record.
require "active_record"

database, command, VALUE, LENGTH = ARGV
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: database, timeout: 10_000)
ActiveRecord::Migration.verbose = false

class Household < ActiveRecord::Base
  self.table_name = "household"
end

class Change < ActiveRecord::Migration[6.1]
  def up
    change_column :household, :name, :string, limit: LENGTH.to_i, null: LENGTH.to_i.odd?
    Household.reset_column_information
    Household.where(id: "1").update_all(name: VALUE)
    Household.create!(id: "m#{VALUE}", name: "made by #{VALUE}")
  end
end

if command == "create"
  ActiveRecord::Schema.define do
    create_table :household, id: :string do |t|
      t.string :name, null: false, limit: 100
      t.string :village
      t.integer :n, null: false, default: 0
    end
  end
else
  ActiveRecord::Base.transaction { Change.new.up }
end

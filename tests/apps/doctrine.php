<?php
// What the comparator of Doctrine DBAL finds, executed as Doctrine Migrations does.
require_once 'Doctrine/DBAL/autoload.php';

use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\Schema\Comparator;
use Doctrine\DBAL\Schema\Table;

[, $database, $command] = $argv;
$connection = DriverManager::getConnection(['driver' => 'pdo_sqlite', 'path' => $database]);
$connection->executeStatement('PRAGMA busy_timeout=10000');
$schema = method_exists($connection, 'createSchemaManager') ? $connection->createSchemaManager()
    : $connection->getSchemaManager();
if ($command === 'create') {
    $table = new Table('household');
    $table->addColumn('id', 'string', ['length' => 36]);
    $table->addColumn('name', 'string', ['length' => 100]);
    $table->addColumn('village', 'string', ['length' => 100, 'notnull' => false]);
    $table->addColumn('n', 'integer', ['default' => 0]);
    $table->setPrimaryKey(['id']);
    $schema->createTable($table);
} else {
    [, , , $value, $length] = $argv;
    $from = $schema->listTableDetails('household');
    $to = clone $from;
    $to->changeColumn('name', ['length' => (int) $length, 'notnull' => $length % 2 === 0]);
    $difference = (new Comparator())->diffTable($from, $to);
    $connection->beginTransaction();
    foreach ($connection->getDatabasePlatform()->getAlterTableSQL($difference) as $sql) {
        $connection->executeStatement($sql);
    }
    $connection->executeStatement("UPDATE household SET name = ? WHERE id = '1'", [$value]);
    $connection->executeStatement('INSERT INTO household(id, name) VALUES(?, ?)', ["m$value", "made by $value"]);
    $connection->commit();
}
